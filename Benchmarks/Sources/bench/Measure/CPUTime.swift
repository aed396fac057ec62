import Foundation

/// What the process has spent of its processors, in nanoseconds. Other programs on a shared machine do not count, so two
/// things that are measured alternately can be compared.
enum CPUTime {
    static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}
