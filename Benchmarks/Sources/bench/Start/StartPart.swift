import FederationCore
import FederationCrypto
import FederationModel
import FederationSQLite
import FederationService
import Foundation

/// From the start of the program to its first answer, with little and with much to load.
struct StartPart {
    static let name = "start"
    private static let rounds = 7
    /// In seconds.
    private static let aim = 0.3

    /// What stands in a data directory when the server starts.
    private struct Sample {
        let name: String
        let servers: Int
        let handoffs: Int
        /// The one that it is compared with, by name.
        var smaller: String?
    }

    private static let samples = [
        Sample(name: "empty", servers: 0, handoffs: 0),
        Sample(name: "10 k servers", servers: 10_000, handoffs: 0, smaller: "empty"),
        Sample(name: "100 k handoffs", servers: 0, handoffs: 100_000, smaller: "empty"),
        Sample(name: "1 M handoffs", servers: 0, handoffs: 1_000_000, smaller: "100 k handoffs"),
    ]

    func run(_ table: inout ResultTable) async throws {
        let program: AetherProgram
        do {
            program = try AetherProgram()
        } catch {
            return FileHandle.standardError.write(Data("start is left out: \(error)\n".utf8))
        }
        let folder = try Disk.folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        var starts: [String: [AetherProgram.Start]] = [:]
        var bytes: [String: Double] = [:]
        for sample in Self.samples {
            let directory = folder.appending(path: sample.name.replacing(" ", with: "-")).path
            try program.initialise(directory)
            bytes[sample.name] = try await StoredSample(directory).fill(
                servers: sample.servers, handoffs: sample.handoffs)
        }
        // In turn, so that what the machine does meanwhile meets all of them; the first round warms up.
        for round in 0...Self.rounds {
            for sample in Self.samples {
                let directory = folder.appending(path: sample.name.replacing(" ", with: "-")).path
                let start = try program.start(directory)
                if round > 0 { starts[sample.name, default: []].append(start) }
            }
        }
        for sample in Self.samples {
            let times = (starts[sample.name] ?? []).map { $0.nanoseconds / 1e9 }
            table.add(Row(Self.name, "to the first answer, \(sample.name)", values: times, unit: "s", atMost: Self.aim))
        }
        for sample in Self.samples {
            let peaks = (starts[sample.name] ?? []).map { $0.peak / 1_048_576 }
            table.add(Row(Self.name, "peak memory, \(sample.name)", values: peaks, unit: "MiB", atMost: nil))
        }
        for sample in Self.samples {
            guard let smaller = sample.smaller, let large = starts[sample.name], let small = starts[smaller],
                let more = bytes[sample.name], let less = bytes[smaller]
            else { continue }
            let rounds = zip(large, small).map { ($0.nanoseconds / $1.nanoseconds, more / less) }
            table.add(
                Row(Self.name, "time grows against data, \(smaller) to \(sample.name)", grown: rounds, atMost: 1))
        }
    }
}

/// Fills a data directory as a server would have.
private struct StoredSample {
    private static let batch = 10_000
    /// Each has travelled many times.
    private static let players = 100_000

    private let directory: String
    private let now = SystemClock().now().timestamp

    init(_ directory: String) { self.directory = directory }

    /// - Returns: the bytes of the database.
    func fill(servers: Int, handoffs: Int) async throws -> Double {
        let store = try await SQLiteStore.open(in: try DataDirectory(at: directory))
        for first in stride(from: 0, to: servers, by: Self.batch) {
            try await store.apply(try (first..<min(first + Self.batch, servers)).map(server))
        }
        let receipt = try self.receipt()
        for first in stride(from: 0, to: handoffs, by: Self.batch) {
            try await store.apply(
                try (first..<min(first + Self.batch, handoffs)).map { .putHandoff(try handoff($0, receipt)) })
        }
        try await store.close()
        let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/federation.sqlite3")
        return (attributes[.size] as? NSNumber)?.doubleValue ?? .nan
    }

    private func identity(_ number: Int) throws -> ServerIdentity {
        let seed = Array(repeating: UInt8(3), count: 24) + withUnsafeBytes(of: UInt64(number)) { Array($0) }
        return try ServerIdentity(id: ServerID(unchecked: CoreTables.name(number)), seed: seed)
    }

    private func server(_ number: Int) throws -> StoreChange {
        let identity = try identity(number)
        guard let endpoint = Endpoint("wss://\(identity.id)") else { throw CoreTables.Problem.sample }
        let card = ServerCard(
            id: identity.id, name: "Server \(number)", endpoint: endpoint, publicKey: identity.publicKey, sequence: 1,
            worlds: [WorldID(unchecked: "harbour")], issued: now, expires: now + .seconds(7 * 24 * 3_600))
        let server = FederatedServer(
            id: identity.id, name: "Server \(number)", endpoint: endpoint, publicKey: identity.publicKey,
            registeredAt: now, lastHeartbeat: now, status: .online, recordSequence: 1,
            worlds: [WorldID(unchecked: "harbour")])
        return .putServer(server, card: card.issue(by: identity))
    }

    /// All handoffs have the same one: it is as long as any, and nobody verifies it again.
    private func receipt() throws -> String {
        let peer = try identity(1)
        guard let id = HandoffID(bytes: Array(repeating: 7, count: 16)) else { throw CoreTables.Problem.sample }
        return AdmissionReceipt(
            issuer: peer.id, audience: ServerID(unchecked: "start"), handoff: id, player: player(0), epoch: .first,
            issuedAt: now
        ).issue(by: peer)
    }

    private func player(_ number: Int) -> PlayerID {
        PlayerID(name: PlayerName(unchecked: "player-\(number % Self.players)"), home: ServerID(unchecked: "start"))
    }

    /// One that is over: half of them left from here, half came here.
    private func handoff(_ number: Int, _ receipt: String) throws -> HandoffRecord {
        var random = SplitMix(seed: UInt64(number))
        let bytes = withUnsafeBytes(of: (random.next(), random.next())) { Array($0) }
        guard let id = HandoffID(bytes: bytes) else { throw CoreTables.Problem.sample }
        let isSource = number % 2 == 0
        return HandoffRecord(
            id: id, role: isSource ? .source : .destination, player: player(number),
            peer: ServerID(unchecked: CoreTables.name(1)), portal: PortalID(unchecked: "gate"),
            world: WorldID(unchecked: "harbour"), spawn: nil, epoch: Epoch(UInt64(number / Self.players) + 2),
            revision: 1, snapshotHash: ContentHash.of(bytes), snapshot: [], snapshotSize: 1_024, clientKey: nil,
            decision: UInt64(number) + 1, state: isSource ? .completed : .admitted, openedAt: now, changedAt: now,
            receipt: receipt)
    }
}
