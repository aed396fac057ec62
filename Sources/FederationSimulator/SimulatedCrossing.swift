import FederationCore
import FederationModel

/// One handoff as the simulator follows it from outside, on both disks.
final class SimulatedCrossing {
    let number: Int
    let id: HandoffID
    let player: Int
    let source: SimulatedWire.Party
    let destination: SimulatedWire.Party
    let epoch: Epoch
    let revision: UInt64
    let state: [UInt8]
    /// Which decision of the hostile peer it was.
    var decision: UInt64?
    /// What is durable at each end.
    var sourceState: HandoffState?
    var destinationState: HandoffState?
    /// The receipts that the destination has really issued.
    var receipts: [String] = []
    /// How many clients were told that their token was taken.
    var redemptions = 0
    /// In which round it began.
    let round: Int
    /// Whether the source has ever decided it, and the destination ever admitted the player, durably.
    var wasDecided = false
    var wasAdmitted = false
    /// An end of it was restored from a backup since: its ledgers may tell it in any way that ends.
    var isTouched = false

    init(
        number: Int, round: Int, id: HandoffID, player: Int, source: SimulatedWire.Party,
        destination: SimulatedWire.Party,
        epoch: Epoch, revision: UInt64, state: [UInt8]
    ) {
        self.number = number
        self.round = round
        self.id = id
        self.player = player
        self.source = source
        self.destination = destination
        self.epoch = epoch
        self.revision = revision
        self.state = state
    }

    func durable(at party: SimulatedWire.Party) -> HandoffState? {
        party == source ? sourceState : party == destination ? destinationState : nil
    }
}

/// A player with the world server that writes their state, wherever they are.
struct SimulatedPlayer {
    let id: PlayerID
    let home: Int
    /// The last state that any world has written.
    var written: UInt64 = 0
    /// The last state that a world was told is safe.
    var acknowledged: UInt64 = 0
    /// The server where the player was seen last.
    var lastSeen: Int

    /// The most that a state takes.
    static let stateBytes = 32

    /// A state: the number of the write, and what the player carries by then.
    static func state(_ counter: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(40)
        append(counter, to: &bytes)
        for item in 0..<(counter % 4) { append(counter &* 0x9E37_79B9_7F4A_7C15 &+ item, to: &bytes) }
        return bytes
    }

    /// The number of the write that a state came from; nil when it is not one that a world has written.
    static func counter(of state: [UInt8]) -> UInt64? {
        guard state.count >= 8 else { return nil }
        let counter = state.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return state == Self.state(counter) ? counter : nil
    }

    private static func append(_ word: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: word >> shift))
        }
    }
}
