import FederationModel
import Testing

@testable import FederationCore

@Suite("PackedRecord")
struct PackedRecordTests {
    static let samples: [FederatedServer] = {
        let id = ServerID(unchecked: "world.example.org")
        let endpoints = [
            "ws://world.example.org:1", "wss://world.example.org:65535", "ws://[2001:db8::1]:7700",
            "wss://192.0.2.1:443",
            "ws://other.example.org",
        ].map(TableSamples.endpoint)
        let texts = ["A", String(repeating: "ü", count: 64), "🏝 Île"]
        let numbers: [(Int64, UInt64)] = [(0, 0), (-1, 127), (1, 128), (.max, .max), (.min, 1 << 63)]
        let lists: [(alternatives: Int, worlds: Int, reason: String?)] = [
            (0, 0, nil), (3, 0, ""), (0, 200, "why not"), (16, 1, nil), (1, 64, String(repeating: "x", count: 300)),
        ]
        return endpoints.flatMap { endpoint in
            texts.flatMap { name in
                zip(numbers, lists).map { number, list in
                    FederatedServer(
                        id: id, name: name, endpoint: endpoint,
                        alternatives: (0..<list.alternatives).map { endpoints[$0 % endpoints.count] },
                        publicKey: TableSamples.key(UInt8(name.utf8.count)),
                        registeredAt: Timestamp(milliseconds: number.0), recordSequence: number.1,
                        worlds: (0..<list.worlds).map { WorldID(unchecked: "world-\($0)") },
                        suspensionReason: list.reason)
                }
            }
        }
    }()

    @Test("what is packed comes out as it went in", arguments: samples)
    func roundTrip(_ server: FederatedServer) {
        #expect(PackedRecord(server).server(server.id) == server)
    }

    @Test("a row adds heartbeat and status", arguments: ServerStatus.allCases)
    func row(_ status: ServerStatus) {
        for heartbeat in [nil, Int64.min, -1, 0, .max] {
            let server = TableSamples.server("alpha", status: status, heartbeat: heartbeat)
            #expect(ServerRow(server).server(server.id) == server)
        }
    }
}
