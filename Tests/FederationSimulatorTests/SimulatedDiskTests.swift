import FederationCore
import FederationModel
import Testing

@testable import FederationSimulator

@Suite("The simulated disk")
struct SimulatedDiskTests {
    private static let ada = PlayerID(name: PlayerName(unchecked: "ada"), home: ServerID(unchecked: "alpha"))

    private static func save(_ revision: UInt64) -> [StoreChange] {
        let record = PlayerRecord(
            player: ada, world: WorldID(unchecked: "alpha"), presence: .playable, epoch: .first, revision: revision,
            state: [])
        return [.putPlayer(record), .putCardSequence(revision)]
    }

    private static func revision(_ disk: SimulatedDisk) -> UInt64 {
        let state = disk.durable.state
        let revision = state.players.first?.revision ?? 0
        // Both changes of a transaction are there, or neither.
        #expect(state.cardSequence == revision)
        return revision
    }

    @Test("what is not synced is not durable, and what is synced is")
    func sync() {
        var disk = SimulatedDisk(SimulatedDisk.initial)
        disk.write(Self.save(1))
        #expect(Self.revision(disk) == 0)
        disk.sync { _, _ in }
        #expect(Self.revision(disk) == 1 && disk.unsynced == 0)
    }

    /// What three transactions that were not synced may become, and which is the last that counts.
    static let losses: [([SimulatedDisk.Remains], UInt64)] = [
        ([.whole, .whole, .whole], 4), ([.whole, .whole, .torn], 3), ([.whole, .torn, .whole], 2),
        ([.torn, .whole, .whole], 1), ([.missing, .whole, .whole], 1), ([.whole, .missing, .whole], 2), ([], 1),
    ]

    @Test(
        "recovery keeps a prefix of whole transactions and stops at the first that is torn or missing",
        arguments: losses)
    func recovery(_ remains: [SimulatedDisk.Remains], _ expected: UInt64) {
        var disk = SimulatedDisk(SimulatedDisk.initial)
        disk.write(Self.save(1))
        disk.sync { _, _ in }
        for revision in UInt64(2)...4 { disk.write(Self.save(revision)) }
        var seen = 0
        disk.recover(remains) { _, _ in seen += 1 }
        #expect(Self.revision(disk) == expected)
        #expect(seen == Int(expected - 1) * 2)
        #expect(disk.unsynced == 0)
    }

    @Test("a torn transaction is gone as a whole, unless checksums are not compared", arguments: [false, true])
    func torn(_ isTaken: Bool) {
        var disk = SimulatedDisk(SimulatedDisk.initial)
        disk.write(Self.save(1))
        disk.write(Self.save(2))
        disk.recover([.torn, .whole], takingTorn: isTaken) { _, _ in }
        // The player is the first of the two changes; what lies behind a torn transaction is lost in either case.
        #expect(disk.durable.state.players.first?.revision == nil)
        #expect(disk.durable.state.cardSequence == (isTaken ? 1 : 0))
    }

    @Test(
        "a transaction whose sync failed may come back after a crash, and is there once when it is written again",
        arguments: [true, false])
    func failure(_ isRolledBack: Bool) {
        var disk = SimulatedDisk(SimulatedDisk.initial)
        disk.write(Self.save(1))
        disk.fail(rollingBack: isRolledBack)
        var crashed = disk
        crashed.recover(Array(repeating: .whole, count: crashed.unsynced)) { _, _ in }
        #expect(Self.revision(crashed) == (isRolledBack ? 0 : 1))
        disk.write(Self.save(1))
        #expect(disk.unsynced == 1)
        disk.sync { _, _ in }
        #expect(Self.revision(disk) == 1)
    }
}
