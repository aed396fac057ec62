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
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let outcome = try await withThrowingTaskGroup(of: DemoStory.Outcome.self) { group in
            group.addTask { try await story.tell() }
            group.addTask {
                for await _ in signals { return .interrupted }
                return .interrupted
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .interrupted
        }
        if outcome == .crossed, !once {
            story.sayWhatNext()
            for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { break }
        }
        await story.stop()
        if outcome != .crossed { throw ExitCode(1) }
    }
}

/// One thing to break, to see that exactly its step refuses.
enum Breakage: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// A byte of an asset at the destination is flipped on disk.
    case asset
    /// The source's clock is four minutes slow, so that its tokens have expired when they arrive.
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
        case .token: "alpha's clock was set four minutes back"
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
            let last = URL(fileURLWithPath: chosen).lastPathComponent.lowercased()
            id = WorldID(rawValue: last.filter { $0.isLetter || $0.isNumber || $0 == "-" }) ?? WorldID(unchecked: "world")
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
        return candidates.map { $0 + "/Examples/worlds" }.first { FileManager.default.fileExists(atPath: $0 + "/garden") }
    }
}
