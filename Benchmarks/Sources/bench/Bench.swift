import ArgumentParser
import Foundation

/// Measures, and compares with what one would use otherwise, in one run. It fails on nothing: it is a measure, not a test.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures the federation's parts beside what they could be replaced with.")

    /// In the order in which they run.
    private static let parts = [
        CorePart.name, HandshakePart.name, ChannelPart.name, HandoffPart.name, AssetsPart.name, RegistryPart.name,
        GrowthPart.name, StartPart.name,
    ]

    @Option(help: "\(Bench.parts.joined(separator: ", ")); all of them when left out. The others' rows are kept.")
    var part: String?

    @Option(help: "The entries of the tables of the core.")
    var counts: [Int] = [1_000, 100_000, 1_000_000]

    @Option(help: "Of the core, only the rows whose names contain this; the others of the core are kept.")
    var only: String?

    @Option(help: "Where the results are kept, as JSON.")
    var results = "Benchmarks/results.json"

    @Flag(help: "Forgets what was measured earlier the same day, which counts together with this run otherwise.")
    var anew = false

    @Flag(help: "Measures nothing, and prints the kept results as the table of BENCHMARKS.md.")
    var markdown = false

    @Option(help: "Sends sealed messages of so many bytes for ten seconds and does nothing else: for a profiler.")
    var profileChannel: Int?

    @Option(
        help: "Makes so many handshakes at once through sockets for ten seconds, and does nothing else: for a profiler."
    )
    var profileHandshakes: Int?

    // MARK: As a process of another one of these

    @Option(help: .hidden)
    var build: String?

    @Option(help: .hidden)
    var count = 0

    @Option(help: .hidden)
    var role: ChildRole?

    @Option(help: .hidden)
    var id = "alpha"

    @Option(help: .hidden)
    var directory = ""

    @Option(help: .hidden)
    var acceptMilliseconds = 200

    @Flag(help: .hidden)
    var records = false

    func validate() throws {
        if let part, !Self.parts.contains(part) {
            throw ValidationError("there is no part '\(part)': \(Self.parts.joined(separator: ", "))")
        }
        if only != nil, let part, part != CorePart.name {
            throw ValidationError("--only chooses among the rows of the core, not of '\(part)'")
        }
    }

    func run() async throws {
        if let role { return try await run(as: role) }
        if let profileChannel { return try await ChannelPart.profile(profileChannel) }
        if let profileHandshakes { return try await SocketHandshakePart.profile(profileHandshakes) }
        if build == ChannelPart.name { return print(try await ChannelPart.peak(count)) }
        if let build { return print(try CorePart.build(build, count)) }
        if markdown { return print(try ResultTable.markdown(of: results)) }
        FileHandle.standardOutput.write(Data((ResultTable.head + "\n").utf8))
        var measured = 0
        let wanted = only == nil ? part : CorePart.name
        for name in Self.parts where wanted ?? name == name {
            var table = ResultTable()
            do {
                try await run(name, &table)
            } catch {
                // What the other parts measure is worth as much without it; its own rows stay as they were.
                FileHandle.standardError.write(Data("\(name) is left out: \(error)\n".utf8))
                continue
            }
            guard !table.rows.isEmpty else { continue }
            // After each part: a later one may be interrupted.
            try table.write(to: results, isWhole: only == nil, anew: anew)
            measured += table.rows.count
        }
        if measured > 0 { print("\(measured) rows, written to \(results)") }
    }

    private func run(_ part: String, _ table: inout ResultTable) async throws {
        switch part {
        case CorePart.name: try CorePart(counts: counts, only: only).run(&table)
        case HandshakePart.name:
            try HandshakePart().run(&table)
            try await SocketHandshakePart().run(&table)
        case ChannelPart.name: try await ChannelPart().run(&table)
        case HandoffPart.name: try await HandoffPart().run(&table)
        case AssetsPart.name: try await AssetsPart().run(&table)
        case RegistryPart.name: try await RegistryPart().run(&table)
        case GrowthPart.name: try await GrowthPart().run(&table)
        case StartPart.name: try await StartPart().run(&table)
        default: throw ValidationError("there is no part '\(part)'")
        }
    }

    private func run(as role: ChildRole) async throws {
        switch role {
        case .handoff:
            try await HandoffServer.serve(
                id: id, directory: directory, acceptMilliseconds: acceptMilliseconds, records: records)
        case .hub: try await PeerHub.serve(isBare: id == PeerHub.bare)
        case .crowd: try await PeerCrowd.serve(isBare: id == PeerHub.bare)
        }
    }
}

extension ChildRole: ExpressibleByArgument {}
