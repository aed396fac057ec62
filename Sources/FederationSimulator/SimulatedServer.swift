import FederationCore
import FederationCrypto
import FederationModel

/// A server: the real node, with a simulated disk, clocks, dialler and effect queue around it.
final class SimulatedServer {
    /// Who waits for a batch to be carried out.
    enum Waiter {
        /// Is told at the first failure of the disk.
        case caller(SimulatedCall)
        /// A channel whose next frame is read only then.
        case patient(wire: Int, first: Bool)
    }

    enum DeathAtWrite {
        case next
        case redemption
    }

    /// Effects that were made together.
    struct Batch {
        let effects: [Effect]
        var waiter: Waiter?

        /// Whether it writes this handoff.
        func puts(_ handoff: HandoffID?) -> Bool {
            effects.contains { effect in
                effect.changes.contains { change in
                    if case .putHandoff(let record) = change { record.id == handoff } else { false }
                }
            }
        }
    }

    /// Two peers by number: the one that is asked whether it reaches the other.
    struct Probe {
        let target: Int
        let asked: Int
    }

    /// A peer that is to be kept connected.
    struct Dial {
        let number: Int
        var attempts = 0
        var isResting = false
        var isHastened = false
        /// Whether a pause is running; an attempt or an open channel otherwise.
        var isPausing = false
        /// Tells the pause that counts from those that were cut short.
        var pause = 0
    }

    /// What the operator has ordered, and what a peer has shown, seen from outside of the node.
    struct PeerTruth {
        var isPeer = true
        var isSuspended = false
        /// When trust from the last completed handshake ends, in simulated time.
        var trustedUntil: Int64 = .min
        /// When the peer last answered.
        var heardAt: Int64 = .min
        /// When another server last said, because it was asked, that it reaches the peer.
        var vouchedAt: Int64 = .min
    }

    /// A copy of the disk, and what is known of it from outside.
    struct Backup {
        let tables: StoreTables
        let round: Int
        let decisions: [ServerID: UInt64]
        let recalls: [Int: Epoch]
    }

    /// What this server has asked others, by request.
    var probes: [UInt64: Probe] = [:]

    let index: Int
    let identity: ServerIdentity
    let configuration: NodeConfiguration
    let world: WorldID
    var node: FederationNode
    var disk: SimulatedDisk
    var isUp = true
    /// Counts the lives of the process.
    var boot = 0
    /// Until when the process stands still.
    var stalledUntil: Int64 = .min
    /// Since when the process has not stood still.
    var runsSince: Int64 = 0
    /// By how much the wall clock is wrong, in nanoseconds.
    var wallOffset: Int64 = 0
    /// What the monotonic clock showed when simulated time began.
    var monotonicBase: Int64
    var wires: [Int] = []
    /// By the peer's number.
    var dials: [Dial?]
    var truth: [PeerTruth]
    var lastDial = 0

    // The effect queue, with the rules of the service.
    var queue: [Batch] = []
    /// Written, or being carried out.
    var draining: [Batch] = []
    var isDraining = false
    var hasFailed = false
    var retryPause: Int64 = 0
    var timer: Instant?
    var timerNumber = 0
    /// Effects until the process dies; nil lets it live.
    var effectsToLive: Int?
    /// The process dies while its next write, or the next one of a redemption, is not synced.
    var diesAtWrite: DeathAtWrite?
    /// Whether what was not synced may be gone when the server starts again.
    var losesPower = false
    var diskLatency: Int64 = Span.millisecond
    var diskSlowUntil: Int64 = .min
    var diskFailsUntil: Int64 = .min
    var queuesFullUntil: Int64 = .min

    // Backups.
    var backup: Backup?
    /// Whether the server starts again from its backup.
    var isRestoring = false
    /// Whether it was restored since the last rest.
    var isRestored = false
    /// After a restore: peers that have not yet had their chance to show what this server has forgotten.
    var awaited: Set<Int> = []
    /// How many handoffs it has decided towards each peer, on its disk.
    var decisions: [ServerID: UInt64] = [:]
    /// By player: below which epoch it has been told to play nobody, and what its disk holds of that.
    var recalls: [Int: Epoch] = [:]
    var durableRecalls: [Int: Epoch] = [:]

    // The world server.
    /// Until when it guards its world.
    var guardsUntil: Int64 = .min
    /// Tells the guard that counts from those that were ended.
    var guardNumber = 0
    /// What it has said of those at the door: whether they may enter.
    var words: [HandoffID: Bool] = [:]

    var id: ServerID { identity.id }

    init(
        index: Int, identity: ServerIdentity, configuration: NodeConfiguration, world: WorldID, peers: Int,
        beginningWith state: StoredState, monotonicBase: Int64, at now: Now
    ) throws {
        self.index = index
        self.identity = identity
        self.configuration = configuration
        self.world = world
        self.monotonicBase = monotonicBase
        disk = SimulatedDisk(state)
        dials = Array(repeating: nil, count: peers)
        truth = Array(repeating: PeerTruth(), count: peers)
        node = try FederationNode(
            identity: identity, configuration: configuration, restoring: state, at: now)
    }

    /// Batches that may wait before a channel is slowed down.
    func queuedBatches(at time: Int64) -> Int { time < queuesFullUntil ? 3 : 1_024 }

    /// Frames that may wait on a channel before it is closed.
    func outboundFrames(at time: Int64) -> Int { time < queuesFullUntil ? 3 : Limits.outboundFrames }
}

/// A call of a world server, a client or an operator that waits for its answer.
enum SimulatedCall {
    /// The player's state with this counter is safe, in that epoch. What is said of a copy that a backup has brought back,
    /// and that is not the player, is worth nothing.
    case save(player: Int, counter: UInt64, epoch: Epoch, isGhost: Bool)
    /// The client's token was taken.
    case redeem(HandoffID)
    /// Anything else, about which nothing is promised.
    case other
}
