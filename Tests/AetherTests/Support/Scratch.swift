import Foundation
import Synchronization
import Testing

/// A folder for one test, and the processes that it starts; both are gone when the test ends.
final class Scratch: Sendable {
    let path: String
    private let children = Mutex<[Child]>([])

    private init() throws {
        path = NSTemporaryDirectory() + "aether-test-\(UUID().uuidString.prefix(8).lowercased())"
        try FileManager.default.createDirectory(
            atPath: path + "/tmp", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    /// Runs a test in a folder of its own.
    static func use(_ body: (Scratch) async throws -> Void) async throws {
        let scratch = try Scratch()
        defer { scratch.end() }
        try await body(scratch)
    }

    private func end() {
        for child in children.withLock({ $0 }) { child.destroy() }
        // What a test made unreadable has to go, too.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The environment of every program: nothing of the caller's that could change what it does. What a sanitizer is
    /// told it is told in every process; without one nobody reads it.
    var environment: [String: String] {
        let ours = ProcessInfo.processInfo.environment
        return [
            "PATH": ours["PATH"] ?? "/usr/bin:/bin", "HOME": path,
            "TMPDIR": path + "/tmp",
            "LANG": "C.UTF-8",
        ].merging(ours.filter { $0.key == "TSAN_OPTIONS" || $0.key == "ASAN_OPTIONS" }) { _, sanitizer in sanitizer }
    }

    func start(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Child {
        let child = try Child(
            program, arguments, environment: self.environment.merging(environment) { _, new in new }, in: path)
        children.withLock { $0.append(child) }
        return child
    }

    /// Runs `aether` to its end.
    @discardableResult
    func aether(
        _ arguments: String..., environment: [String: String] = [:], within seconds: Double = 30,
        _ location: SourceLocation = #_sourceLocation
    ) async throws -> Child.End {
        try await run(Program.aether, arguments, environment: environment, within: seconds, location)
    }

    /// - Parameter input: what the program reads on standard input; nil for a pipe that stays open and empty.
    @discardableResult
    func aether(
        _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
        within seconds: Double = 30, _ location: SourceLocation = #_sourceLocation
    ) async throws -> Child.End {
        let child = try start(Program.aether, arguments, environment: environment)
        if let input { try child.write(input) }
        return try await child.end(within: seconds, location)
    }

    func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], within seconds: Double = 30,
        _ location: SourceLocation = #_sourceLocation
    ) async throws -> Child.End {
        try await start(program, arguments, environment: environment).end(within: seconds, location)
    }

    func write(_ text: String, to name: String) throws -> String {
        let file = path + "/" + name
        let folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }

    /// A certificate that has signed itself, and its key: `NAME.pem`, `NAME.key`.
    ///
    /// - Parameter subject: whose it is: `IP:127.0.0.1`, `DNS:alpha.example`.
    /// - Returns: the path without the ending.
    func certificate(for subject: String, _ name: String) async throws -> String {
        let path = self.path + "/" + name
        let made = try await run(
            "/usr/bin/env",
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                "2", "-subj", "/CN=test", "-addext", "subjectAltName=\(subject)", "-keyout", path + ".key", "-out",
                path + ".pem",
            ])
        try #require(made.code == 0, "\(made.err)")
        return path
    }

    /// The processes that have this test's folder in their command line.
    var processes: [pid_t] {
        let ids = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }
        return ids.filter { id in
            let line = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") ?? Data()
            return line.range(of: Data(path.utf8)) != nil
        }
    }

    /// What is in the folder that programs take for temporary files.
    var leftovers: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: path + "/tmp")) ?? []
    }
}

/// The programs under test.
enum Program {
    /// `AETHER_BINARY`, or the `aether` beside the bundle that these tests are in.
    static let aether: String = {
        if let chosen = ProcessInfo.processInfo.environment["AETHER_BINARY"] { return chosen }
        let running = URL(fileURLWithPath: CommandLine.arguments.first ?? "").deletingLastPathComponent().path
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
        let folders = [running, program, Bundle.main.bundlePath, project + "/.build/debug"]
        return folders.map { $0 + "/aether" }.first { FileManager.default.isExecutableFile(atPath: $0) } ?? "aether"
    }()

    /// The project's folder.
    static let project: String = {
        var folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        while folder.path != "/", !FileManager.default.fileExists(atPath: folder.path + "/Examples/worlds") {
            folder = folder.deletingLastPathComponent()
        }
        return folder.path
    }()

    static let harbour = project + "/Examples/worlds/harbour"
    static let garden = project + "/Examples/worlds/garden"
}
