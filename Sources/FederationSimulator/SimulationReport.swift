/// What a run did and found.
package struct SimulationReport: Sendable {
    package let seed: UInt64
    /// Honest servers.
    package let servers: Int
    /// Handoffs begun.
    package internal(set) var crossings = 0
    /// Handoffs decided for the destination.
    package internal(set) var committed = 0
    /// Handoffs that ended without a crossing; those that were begun and never durable are in neither count.
    package internal(set) var aborted = 0
    /// Tokens that clients were told were taken.
    package internal(set) var redeemed = 0
    /// Players whom their homes' operators have taken back.
    package internal(set) var takenBack = 0
    /// Times at which a server was restored from a backup.
    package internal(set) var restored = 0
    /// Faults that happened, by kind; only kinds that did.
    package internal(set) var faults: [FaultKind: Int] = [:]
    /// Frames about handoffs that were lost, doubled or late on a channel that stood, by kind.
    package internal(set) var disturbedFrames: [FaultKind: Int] = [:]
    /// Times at which the faults stopped and everything came to rest.
    package internal(set) var rests = 0
    /// Events handled.
    package internal(set) var events = 0
    /// Simulated seconds.
    package internal(set) var seconds: Double = 0
    /// What did not hold; at most one, because the run ends with it.
    package internal(set) var violation: Violation?
    /// SHA-256 over everything that happened, in hex: the same for the same options on every machine.
    package internal(set) var digest = ""
    /// The last events in words, when they were asked for.
    package internal(set) var history: [String] = []
    /// The numbers of the planned faults that happened.
    package internal(set) var faultNumbers: [Int] = []
    /// The longest that anything waited, against the bounds.
    package internal(set) var peaks = Peaks()

    /// The most that was seen of what must stay bounded.
    package struct Peaks: Hashable, Sendable {
        /// Batches of effects that waited at one server.
        package internal(set) var batches = 0
        /// Messages on the way in one direction of one channel.
        package internal(set) var messages = 0
        /// Open handoffs of one server.
        package internal(set) var openHandoffs = 0
        /// Bytes of snapshots in one ledger.
        package internal(set) var snapshotBytes = 0
        /// Players whom one server knew, and whom it remembered to have come from the hostile peer.
        package internal(set) var players = 0
        package internal(set) var passages = 0
        /// Records in one ledger, open and over.
        package internal(set) var records = 0
    }

    init(seed: UInt64, servers: Int) {
        self.seed = seed
        self.servers = servers
    }
}
