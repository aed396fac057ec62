/// What can go wrong in a simulation, and what operators and hostile peers may do at any time.
package enum FaultKind: String, CaseIterable, Sendable, Codable {
    /// A server loses power: of what its disk has not yet synced, any whole transactions from the front may survive.
    case powerLoss
    /// A server's process dies between two of its effects; it comes back after a while.
    case crashAtEffect
    /// Every server loses power within moments.
    case blackout
    /// A server's process stands still, as with SIGSTOP, and goes on as if nothing had happened.
    case stall
    /// A channel breaks. What was on its way arrives in part or not at all; an end may be told late.
    case cut
    /// Two servers do not reach each other for a while.
    case partition
    /// What is sent between two servers takes long.
    case delay
    /// A second channel to a peer is dialled although there is one.
    case duplicateDial
    /// A server's wall clock is set wrong.
    case clockJump
    /// A disk answers slowly.
    case slowDisk
    /// A disk refuses to sync for a while; what it was given may be durable all the same.
    case failingDisk
    /// A server's queues hold next to nothing: sending more closes the channel, waiting for more pauses it.
    case fullQueues
    /// The operator suspends a peer, and reinstates it later.
    case suspension
    /// The operator removes a peer, and adds it again later.
    case removal
    /// The operator switches a route off, and on again later.
    case routeOff
    /// A peer with a valid key sends what it likes.
    case hostileFrames
    /// Somebody dials under a peer's id with another key.
    case impostor
    /// A copy of a server's disk is taken, or the server loses power and starts from the last copy: as its operator, by the
    /// manual, nobody travels from it before its peers have connected. See ``Invariant`` for what holds until then.
    case restoredFromBackup
    /// The operator of a player's home takes the player back, whether or not the player's host is gone.
    case takenBack
    /// A world server guards its world for a while: it lets newcomers in, refuses them, answers late or never.
    case guardedWorld
    /// Frames about handoffs between two servers are lost for a while, although the channel stands.
    case loss
    /// Frames about handoffs between two servers come twice for a while, the second time late.
    case duplication
    /// Frames about handoffs between two servers come late for a while, behind what was sent after them.
    case reordering
}
