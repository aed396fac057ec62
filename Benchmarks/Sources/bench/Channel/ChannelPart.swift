import FederationModel
import FederationWire
import Foundation

/// Frames between two servers through a real socket: sealed, against the same in clear and over TLS 1.3.
struct ChannelPart {
    static let name = "channel"

    /// One size of message: how many are sent in a sample, and how many may be on the way.
    private struct Load {
        let name: String
        let bytes: Int
        let count: Int
        let window: Int

        /// As people say it: small ones by number, large ones by size.
        var rate: (scale: Double, unit: String) {
            bytes < 1 << 16 ? (1, "1/s") : (Double(bytes) / 1e6, "MB/s")
        }

        static let all = [
            Load(name: "64 B", bytes: 64, count: 40_000, window: 2_048),
            Load(name: "1 KiB", bytes: 1 << 10, count: 40_000, window: 2_048),
            Load(name: "64 KiB", bytes: 1 << 16, count: 2_000, window: 64),
            Load(name: "1 MiB", bytes: 1 << 20, count: 100, window: 8),
        ]
    }

    private static let clear = 1
    private static let tls = 2
    private static let nio = 3

    func run(_ table: inout ResultTable) async throws {
        let loops = Loops()
        let material = try TLSMaterial()
        let links: [(String, any Link)] = [
            ("sealed", try await PeerLink(suites: [.hybridAES256GCM], groups: loops)),
            ("in clear", try await PlainLink(groups: loops)),
            ("TLS 1.3", try await PlainLink(tls: material, groups: loops)),
            ("NIO's WebSocket, TLS 1.3", try await PlainLink(framing: .nio, tls: material, groups: loops)),
        ]
        for load in Load.all {
            let frame = try Self.frame(load.bytes)
            let contest = try await Contest(
                operations: load.count,
                links.map { name, link in
                    Contest.Contender(name) { await link.stream(frame, count: load.count, window: load.window) }
                })
            add(contest, load.name, load.rate, isSmall: load.bytes < 1 << 16, to: &table)
        }
        try await roundTrips(links, &table)
        for (_, link) in links { try await link.close() }
        try memory(&table)
    }

    private func add(
        _ contest: Contest, _ name: String, _ rate: (scale: Double, unit: String), isSmall: Bool,
        to table: inout ResultTable
    ) {
        let unit = rate.unit == "1/s" ? "1/cpu s" : "MB/cpu s"
        for contender in contest.names.indices.dropFirst() {
            let aim: Double? =
                switch contender {
                case Self.clear: 0.8
                case Self.tls: isSmall ? 2 : 1.5
                default: nil
                }
            let what = "\(name), \(contest.names[contender])"
            table.add(
                Row(
                    Self.name, what, rate: contest, to: contender, by: \.processor, scale: rate.scale, unit: unit,
                    atLeast: aim))
            table.add(
                Row(
                    Self.name, "\(what), wall", rate: contest, to: contender, by: \.wall, scale: rate.scale,
                    unit: rate.unit))
        }
    }

    private func roundTrips(_ links: [(String, any Link)], _ table: inout ResultTable) async throws {
        let count = 5_000
        let contest = try await Contest(
            operations: count,
            links.map { name, link in Contest.Contender(name) { await link.roundTrips(count) } })
        for contender in contest.names.indices.dropFirst() {
            let what = "round trips, \(contest.names[contender])"
            table.add(Row(Self.name, what, rate: contest, to: contender, by: \.processor, unit: "1/cpu s"))
            table.add(Row(Self.name, "\(what), wall", rate: contest, to: contender, by: \.wall, unit: "1/s"))
        }
    }

    /// A frame that carries so many bytes of somebody's.
    static func frame(_ count: Int) throws -> FederationFrame {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        guard count > Limits.assetChunkBytes else {
            return .assetResponse(.init(request: 1, answer: .chunk(bytes)))
        }
        guard let handoff = HandoffID(String(repeating: "ab", count: 16)) else { throw CoreTables.Problem.sample }
        return .offer(.init(handoff: handoff, token: "t", snapshot: bytes))
    }

    /// Ours alone, for ten seconds.
    static func profile(_ bytes: Int) async throws {
        let link = try await PeerLink(suites: [.hybridAES256GCM], groups: Loops())
        let frame = try frame(bytes)
        let window = max(8, min(2_048, (4 << 20) / max(1, bytes)))
        let end = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < end { await link.stream(frame, count: window * 8, window: window) }
    }

    // MARK: Memory

    /// The most memory that a process ever had that sent large messages and did nothing else.
    private func memory(_ table: inout ResultTable) throws {
        let ours = try Memory.measure("channel", 0)
        for contender in [Self.clear, Self.tls] {
            table.add(
                Row(
                    Self.name, "peak memory, 1 MiB, \(contender == Self.clear ? "in clear" : "TLS 1.3")",
                    ours: ours / 1_048_576, theirs: try Memory.measure("channel", contender) / 1_048_576, unit: "MiB",
                    atMost: nil))
        }
    }

    /// What ``Memory/measure(_:_:)`` runs: bytes at their most.
    static func peak(_ contender: Int) async throws -> Int {
        let loops = Loops()
        let link: any Link =
            switch contender {
            case clear: try await PlainLink(groups: loops)
            case tls: try await PlainLink(tls: try TLSMaterial(), groups: loops)
            default: try await PeerLink(suites: [.hybridAES256GCM], groups: loops)
            }
        await link.stream(try frame(1 << 20), count: 200, window: 8)
        return Memory.peak
    }
}
