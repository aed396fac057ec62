/// What a limit of the system on open files means. Systems differ in how they write that there is none, and some refuse to go
/// as far as they say.
package enum OpenFileLimit {
    /// Limits above `soft` that are worth asking for, the highest first: macOS takes no more than 10,240 (`OPEN_MAX`) where it
    /// says that there is no limit.
    package static func candidates(soft: UInt64, hard: UInt64) -> [UInt64] {
        ([hard] + [1 << 20, 1 << 16, 10_240].filter { $0 < hard }).filter { $0 > soft }
    }

    /// The number of files; nil for no limit, which is written as the largest number or about half of it. A descriptor is a C
    /// `int`: what goes beyond that bounds nothing.
    package static func files(_ limit: UInt64) -> Int? {
        limit < UInt64(CInt.max) ? Int(limit) : nil
    }
}
