import ArgumentParser
import Foundation

/// Measures, and compares with what one would use otherwise, in one run. It fails on nothing: it is a measure, not a test.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures the federation's parts beside what they could be replaced with.")

    @Option(help: "core, handshake, channel, assets or registry; all of them when left out.")
    var part: String?

    @Option(help: "The entries of the tables of the core.")
    var counts: [Int] = [1_000, 100_000, 1_000_000]

    @Option(help: "Of the core, only the rows whose names contain this; they are not kept.")
    var only: String?

    @Option(help: "Where the results are kept, as JSON.")
    var results = "Benchmarks/results.json"

    @Option(help: .hidden)
    var build: String?

    @Option(help: .hidden)
    var count = 0

    @Option(help: "Sends sealed messages of so many bytes for ten seconds and does nothing else: for a profiler.")
    var profileChannel: Int?

    func validate() throws {
        guard let part else { return }
        guard [CorePart.name, HandshakePart.name, ChannelPart.name, AssetsPart.name, RegistryPart.name].contains(part)
        else {
            throw ValidationError("there is no part '\(part)': core, handshake, channel, assets, registry")
        }
    }

    func run() async throws {
        if let profileChannel { return try await ChannelPart.profile(profileChannel) }
        if build == ChannelPart.name { return print(try await ChannelPart.peak(count)) }
        if let build { return print(try CorePart.build(build, count)) }
        var table = ResultTable()
        FileHandle.standardOutput.write(Data((ResultTable.head + "\n").utf8))
        if part ?? CorePart.name == CorePart.name { try CorePart(counts: counts, only: only).run(&table) }
        if part ?? HandshakePart.name == HandshakePart.name { try HandshakePart().run(&table) }
        if part ?? HandshakePart.name == HandshakePart.name { try await SocketHandshakePart().run(&table) }
        if part ?? ChannelPart.name == ChannelPart.name { try await ChannelPart().run(&table) }
        if part ?? AssetsPart.name == AssetsPart.name { try await AssetsPart().run(&table) }
        if part ?? RegistryPart.name == RegistryPart.name { try await RegistryPart().run(&table) }
        guard only == nil else { return }
        try table.write(to: results)
        print("\(table.rows.count) rows, written to \(results)")
    }
}
