import Foundation

/// On what a row was measured: ratios of two machines need not agree, because what waits for memory or for a disk is another
/// share of ours than of theirs.
enum Machine {
    /// The processor by its own name, how many of it there are, and the last cache that they have: "AMD EPYC 9654, 2, 384 MiB".
    static let name: String = {
        let model = field("model name", of: text("/proc/cpuinfo")) ?? "a processor without a name"
        let cache = text("/sys/devices/system/cpu/cpu0/cache/index3/size").trimmingCharacters(
            in: .whitespacesAndNewlines)
        let size = Int(cache.dropLast()).flatMap { cache.hasSuffix("K") ? ", \($0 / 1_024) MiB" : nil } ?? ""
        return "\(model), \(ProcessInfo.processInfo.activeProcessorCount)\(size)"
    }()

    private static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func field(_ name: String, of text: String) -> String? {
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.split(separator: ":", maxSplits: 1).last.map {
            $0.replacingOccurrences(of: "(R)", with: "").trimmingCharacters(in: .whitespaces)
        }
    }
}
