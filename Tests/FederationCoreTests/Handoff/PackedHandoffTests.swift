import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

@Suite("PackedHandoff")
struct PackedHandoffTests {
    /// Everything that a record may or may not hold, with numbers and texts at their ends.
    static let samples: [HandoffRecord] = {
        let texts = [
            "", "x", "a line", String(repeating: "ü", count: 200), "🏝 \u{0} Île", String(repeating: "r", count: 9_000),
        ]
        let numbers: [UInt64] = [0, 1, 127, 128, 1 << 32, .max]
        let times: [Int64] = [0, -1, 1, 1_796_000_000_000, .max, .min]
        let spawns = [
            nil, SpawnPoint(x: 0, y: 0, z: 0), SpawnPoint(x: -0.000001, y: 1_000_000_000, z: -1_000_000_000),
            SpawnPoint(x: 0.1, y: -2.5, z: 123_456.789), SpawnPoint(x: 999_999_999.999_999, y: 0.3, z: -0.7), nil,
        ]
        var samples: [HandoffRecord] = []
        for (place, state) in HandoffState.allCases.enumerated() {
            for turn in 0..<6 {
                let at = (place + turn) % 6
                let next = (at + 1) % 6
                samples.append(
                    HandoffRecord(
                        id: HandoffSamples.id(UInt8(place * 40 + turn)), role: turn % 2 == 0 ? .source : .destination,
                        player: PlayerID(
                            name: PlayerName(unchecked: "p\(turn)"), home: ServerID(unchecked: "home-\(place).org")),
                        peer: ServerID(unchecked: "peer-\(at)"), portal: PortalID(unchecked: "gate-\(turn)"),
                        world: WorldID(unchecked: "world-\(place)"), spawn: spawns[at], epoch: Epoch(numbers[at]),
                        revision: numbers[next], snapshotHash: ContentHash.of([UInt8(place), UInt8(turn)]),
                        snapshot: turn == 5 ? Array("still here".utf8) : [], snapshotSize: turn == 0 ? .max : turn * 64,
                        clientKey: turn % 3 == 0 ? TableSamples.key(UInt8(turn)) : nil,
                        decision: turn == 1 ? nil : numbers[at], state: state,
                        openedAt: Timestamp(milliseconds: times[at]), changedAt: Timestamp(milliseconds: times[next]),
                        abortCode: turn == 2 ? nil : texts[at], abortReason: turn == 3 ? nil : texts[next],
                        receipt: turn == 4 ? nil : texts[5 - at],
                        redeemedAt: turn % 2 == 1 ? nil : Timestamp(milliseconds: times[5 - at])))
            }
        }
        return samples
    }()

    @Test("what is packed comes out as it went in", arguments: samples)
    func roundTrip(_ record: HandoffRecord) {
        let packed = PackedHandoff(record)
        #expect(packed.record == record)
        #expect(packed.id == record.id)
        #expect(packed.state == record.state)
        #expect(packed.openedAt == record.openedAt)
        #expect(packed.changedAt == record.changedAt)
        #expect(packed.hasSnapshot == !record.snapshot.isEmpty)
    }

    @Test("each of two records that differ is packed otherwise, and the same one always in the same way")
    func equality() {
        #expect(Set(Self.samples.map(PackedHandoff.init)).count == Set(Self.samples).count)
        #expect(Self.samples.map(PackedHandoff.init) == Self.samples.map(PackedHandoff.init))
    }

    @Test("a handoff is held in one word, of which a million are no burden")
    func size() {
        #expect(MemoryLayout<KeptHandoff>.size == MemoryLayout<Int>.size)
    }

    @Test("what a store gives is a list of its records, in their order, that can be changed")
    func stored() {
        var stored = StoredHandoffs()
        for record in Self.samples { stored.append(record) }
        #expect(Array(stored) == Self.samples)
        #expect(stored == StoredHandoffs(Self.samples))
        #expect(stored.count == Self.samples.count)
        stored[0] = Self.samples[7]
        #expect(stored.first == Self.samples[7])
        #expect(stored != StoredHandoffs(Self.samples))
    }
}
