import Foundation

/// The program as operators run it.
struct AetherProgram {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// How long a start may take before it is given up, in seconds.
    private static let patience = 120.0
    private static let card = "/.well-known/aether-federation"

    private let path: String

    /// The program that AETHER_BINARY names, else the one beside this program.
    ///
    /// - Throws: when there is none.
    init() throws {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let path =
            ProcessInfo.processInfo.environment["AETHER_BINARY"]
            ?? own.deletingLastPathComponent().appending(path: "aether").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure(
                description: "there is no program at \(path): make bench builds it there; or name it in AETHER_BINARY")
        }
        self.path = path
    }

    /// Makes a server in `directory`.
    func initialise(_ directory: String) throws {
        try Tool.run(path, ["init", "--id", "start", "--host", "127.0.0.1", "--data", directory, "--json"])
    }

    /// What one start took.
    struct Start {
        /// From the call that starts the program to its first answer with a card.
        let nanoseconds: Double
        /// Bytes that it had in memory at most until then.
        let peak: Double
    }

    /// Starts the server in `directory`, waits for its card, and stops it.
    func start(_ directory: String) throws -> Start {
        let port = try LocalPort.free()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = [
            "serve", "--data", directory, "--host", "127.0.0.1", "--port", "\(port)", "--log-level", "critical",
            "--end-with-input",
        ]
        // The end of this program ends it as well.
        let input = Pipe()
        process.standardInput = input
        process.standardOutput = FileHandle.nullDevice
        let clock = ContinuousClock()
        let start = clock.now
        try process.run()
        defer {
            if process.isRunning { process.terminate() }
            process.waitUntilExit()
            try? input.fileHandleForWriting.close()
        }
        while !LocalPort.answers(port, Self.card) {
            guard process.isRunning else { throw Failure(description: "aether serve in \(directory) has ended") }
            guard clock.now - start < .seconds(Self.patience) else {
                throw Failure(description: "aether serve in \(directory) does not answer")
            }
            usleep(500)
        }
        let taken = clock.now - start
        return Start(
            nanoseconds: Double(taken.components.seconds) * 1e9 + Double(taken.components.attoseconds) / 1e9,
            peak: Double(Memory.peak(of: process.processIdentifier)))
    }
}
