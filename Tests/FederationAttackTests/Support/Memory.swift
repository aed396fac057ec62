import Foundation

/// What the process holds in memory now, in KiB (`VmRSS` of proc(5)); nil where the system does not say.
func residentKiB() -> Int? {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
    return status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        .flatMap { $0.split(separator: " ").dropLast().last }.flatMap { Int($0) }
}
