/// A mistake that the simulator must find. The product plants none: ``FederationNode/plantedBug`` is nil there, and
/// only this package can set it.
package enum PlantedBug: String, CaseIterable, Sendable {
    /// The source decides as soon as it has offered, without waiting for the destination.
    case commitBeforeReservation
    /// The destination accepts before its reservation is durable.
    case acceptBeforeDurable
    /// Effects are carried out before the changes that they follow from are durable.
    case sendBeforeDurable
    /// A decided handoff that waits too long for its receipt is aborted, and the player goes on at the source.
    case abortAfterCommit
    /// A destination that is told that a handoff is over admits the player.
    case presumedCommit
    /// A world server's write with an older epoch is taken.
    case epochNotCompared
    /// An offer with an epoch that the destination has seen is taken.
    case staleOfferTaken
    /// The client is told that its token was taken before that is durable.
    case redeemedOutsideTransaction
    /// An offer that was answered before makes a second reservation.
    case duplicateOfferReservedTwice
    /// A route to a server that has fallen silent is open.
    case staleHealthUsed
    /// A peer is believed under another key than the one pinned.
    case trustKeptAfterKeyChange
    /// A suspended or removed peer stays trusted.
    case trustKeptAfterSuspension
    /// A start brings players whose handoff is decided back to life.
    case recoveryResumesCommitted
    /// A receipt is not looked at.
    case receiptNotVerified
    /// A destination forgets a handoff as soon as it has admitted the player.
    case ledgerCompactedEarly
    /// An admission begins the count of revisions anew.
    case snapshotRevisionIgnored
    /// A reservation that waits too long is dropped without asking.
    case reservationTimesOut
    /// A world may save a frozen player.
    case frozenStateChanges
    /// A reserved player is playable at once.
    case reservationPlayable
    /// The epoch does not rise with a handoff.
    case epochNotRaised
    /// Any peer may call a handoff off.
    case strangerCallsOff
    /// Calling a handoff off does not ask whether it is decided.
    case callOffAfterCommit
    /// A host that is told that a player was taken back plays on.
    case recallIgnored
    /// A server that has never seen a player forgets at once that the player was taken back.
    case recallForgotten
    /// Peers are told of a reclaim once, and not again when a channel opens.
    case recallNotRepeated
    /// A reclaim goes on in the old term, one hop further.
    case reclaimKeepsTerm
    /// A restored source does not believe the decisions that it is shown.
    case evidenceNotBelieved
    /// Evidence that the source knows already sets its count back.
    case evidenceLowersCount
    /// A place is kept without asking the world.
    case guardNotAsked
    /// A world that takes its word back has the reservation dropped.
    case lateRefusalCounts
    /// The source waits for the answer to its offer as long as that takes.
    case acceptTimeoutIgnored
    /// A decision is said once, and again only to a destination that asks.
    case decisionNotRepeated
    /// A start takes over what is left of a transaction that was torn.
    case tornTransactionTaken
    /// A peer may bring as many players as it likes.
    case passageLimitIgnored
}

extension FederationNode {
    /// Plants a bug, for the simulator's tests of itself.
    package mutating func plant(_ bug: PlantedBug) {
        plantedBug = bug
        ledger.plantedBug = bug
        players.plantedBug = bug
        handshakes.plantedBug = bug
        guard bug == .recoveryResumesCommitted else { return }
        for record in ledger.list(.committed, limit: .max) { _ = players.plantRevival(record) }
    }
}
