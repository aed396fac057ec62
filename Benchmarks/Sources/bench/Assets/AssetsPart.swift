import FederationCore
import FederationCrypto
import FederationModel
import Foundation

/// Hashing assets, against the tool that everybody has for it.
struct AssetsPart {
    static let name = "assets"
    private static let bytes = 256 << 20

    /// Ours has the bytes in memory; openssl starts and reads them from a file, and both are in its figure: the ratio flatters
    /// ours until ours reads the file, too.
    func run(_ table: inout ResultTable) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "aether-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "asset")
        var random = SplitMix(seed: 1)
        var content = [UInt8]()
        content.reserveCapacity(Self.bytes)
        while content.count < Self.bytes { withUnsafeBytes(of: random.next()) { content.append(contentsOf: $0) } }
        try Data(content).write(to: file)
        guard let size = Int64(exactly: content.count) else { return }
        let expected = ContentHash.of(content)
        let mebibytes = Double(content.count) / 1_048_576
        var ours: [Double] = []
        var theirs: [Double] = []
        for _ in 0..<Comparison.pairs {
            var verification = AssetVerification(contentHash: expected, size: size)
            let start = CPUTime.now
            guard verification.verify(content) == .valid else { throw CoreTables.Problem.sample }
            ours.append(mebibytes / (CPUTime.now - start) * 1e9)
            theirs.append(mebibytes / (try Self.openssl(file)))
        }
        let comparison = (ours: median(ours), theirs: median(theirs))
        table.add(
            Row(
                Self.name, "verify 256 MiB, openssl dgst -sha256", ours: comparison.ours, theirs: comparison.theirs,
                unit: "MiB/s", atLeast: 0.97))
    }

    /// Seconds of processor time that openssl takes for the file.
    private static func openssl(_ file: URL) throws -> Double {
        let before = children
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = ["dgst", "-sha256", file.path]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return children - before
    }

    private static var children: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].map { Double($0.tv_sec) + Double($0.tv_usec) / 1e6 }.reduce(0, +)
    }
}
