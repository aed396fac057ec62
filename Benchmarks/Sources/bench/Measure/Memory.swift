import Foundation

/// How much memory something takes: measured in a process of its own, which does nothing else.
enum Memory {
    /// Bytes of this process that are in memory now.
    static var resident: Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }

    /// The most bytes that this process has had in memory at any time.
    static var peak: Int { peak(of: getpid()) }

    /// The same of another process; 0 when that cannot be told.
    static func peak(of process: Int32) -> Int {
        // The kernel's own account: what getrusage says begins with what the parent had.
        guard let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8) else { return 0 }
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 << 10 } ?? 0
    }

    /// Runs this program again to build `what` with `count` entries, and returns the bytes that this took.
    static func measure(_ what: String, _ count: Int) throws -> Double {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["--build", what, "--count", "\(count)"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Double(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? .nan
    }
}
