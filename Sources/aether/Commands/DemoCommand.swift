import ArgumentParser
import FederationModel
import Foundation
import UnixSignals

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Start two servers and walk a player through a portal and back.")

    @Flag(help: "End after the crossing; exit 0 only if every step held.")
    var once = false

    @Flag(help: "Print one JSON object for each step.")
    var json = false

    @Option(name: .customLong("break"), help: "Break one thing and see its step refuse: \(Breakage.list).")
    var breakage: Breakage?

    @Option(help: ArgumentHelp("Any folder as the destination world, instead of the harbour.", valueName: "dir"))
    var world: String?

    @Option(help: ArgumentHelp("Where to keep the two data directories (else a temporary folder).", valueName: "dir"))
    var data: String?

    func run() async throws {
        let folder = try DemoFolder(data)
        defer { folder.removeIfTemporary() }
        let report = DemoReport(isJSON: json)
        let story = try DemoStory(
            folder: folder, report: report, breakage: breakage, world: try WorldChoice(world))
        let outcome: DemoStory.Outcome
        do {
            outcome = try await run(story)
        } catch {
            await story.stop()
            throw error
        }
        await story.stop()
        if let failure = report.failure { throw failure }
        if outcome != .crossed { throw ExitCode(1) }
    }

    /// Tells the story, and then stays up until a signal comes; a signal before its end interrupts it, and so does it when nobody
    /// reads it any more.
    private func run(_ story: DemoStory) async throws -> DemoStory.Outcome {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return try await withThrowingTaskGroup(of: DemoStory.Outcome.self) { group in
            group.addTask {
                let outcome = try await story.tell()
                guard outcome == .crossed, !once else { return outcome }
                story.sayWhatNext()
                // Until it is cancelled.
                for await _ in AsyncStream<Never>.makeStream().stream {}
                return outcome
            }
            group.addTask {
                await withTaskGroup(of: Void.self) { either in
                    either.addTask { for await _ in signals { return } }
                    either.addTask { await story.report.untilFailure() }
                    await either.next()
                    either.cancelAll()
                }
                return .interrupted
            }
            defer { group.cancelAll() }
            let first = try await group.next() ?? .interrupted
            group.cancelAll()
            guard first == .interrupted, let last = try? await group.next() else { return first }
            return last
        }
    }
}

/// One thing to break, to see that exactly its step refuses.
enum Breakage: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// A byte of an asset at the destination is flipped on disk.
    case asset
    /// The source's clock jumps four minutes back after the handshake, so that its tokens have expired when they arrive.
    case token
    /// The destination comes back with another key under its id.
    case peer
    /// The route is switched off.
    case route
    /// The destination is killed.
    case health

    static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }

    /// The step that must refuse.
    var step: CrossingStep {
        switch self {
        case .asset: .verification
        case .token: .handoff
        case .peer: .handshake
        case .route: .routing
        case .health: .health
        }
    }

    /// What was done, for people.
    var story: String {
        switch self {
        case .asset: "one byte of one file of the destination world was flipped on beta's disk"
        case .token: "alpha's clock was set four minutes back, after the handshake"
        case .peer: "beta was restarted with another key under the same id"
        case .route: "the route was switched off"
        case .health: "beta was killed with SIGKILL"
        }
    }
}

/// The folder that holds the demo's data directories.
struct DemoFolder: Sendable {
    let path: String
    let isTemporary: Bool

    init(_ chosen: String?) throws {
        if let chosen {
            path = chosen
            isTemporary = false
        } else {
            path = NSTemporaryDirectory() + "aether-demo-" + hexString(SystemRandom.bytes(6))
            isTemporary = true
        }
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Refusal(
                .unavailable, code: "demo.unwritable", reason: "\(path) cannot be made: \(error.localizedDescription)",
                remedy: "choose a directory that you may write to, with --data")
        }
    }

    func removeIfTemporary() {
        if isTemporary { try? FileManager.default.removeItem(atPath: path) }
    }
}

/// The destination world of the demo.
struct WorldChoice: Sendable {
    let id: WorldID
    let name: String
    let folder: String
    /// The world at home.
    let home: String

    init(_ chosen: String?) throws {
        guard let examples = Self.examples else {
            throw Refusal(
                .notFound, code: "demo.noWorlds", reason: "Examples/worlds is not here",
                remedy: "run the demo from the project's folder: make demo")
        }
        home = examples + "/garden"
        if let chosen {
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: chosen, isDirectory: &isDirectory), isDirectory.boolValue
            else {
                throw Refusal(
                    .invalid, code: "world.noFolder", reason: "\(chosen) is not a folder",
                    remedy: "name a folder of files")
            }
            let last = URL(fileURLWithPath: chosen).lastPathComponent.lowercased()
            id =
                WorldID(rawValue: last.filter { $0.isLetter || $0.isNumber || $0 == "-" })
                ?? WorldID(unchecked: "world")
            name = last
            folder = chosen
        } else {
            id = WorldID(unchecked: "harbour")
            name = "The Harbour"
            folder = examples + "/harbour"
        }
    }

    /// Below the working directory, or beside the folder that the program was built in.
    private static var examples: String? {
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        var folder = program.deletingLastPathComponent()
        var candidates = [FileManager.default.currentDirectoryPath]
        for _ in 0..<4 {
            candidates.append(folder.path)
            folder = folder.deletingLastPathComponent()
        }
        return candidates.map { $0 + "/Examples/worlds" }.first {
            FileManager.default.fileExists(atPath: $0 + "/garden")
        }
    }
}
