public import FederationCore
public import FederationModel

/// What a world server is told of its world: who comes, who goes, and who comes back.
///
/// Everything told is durable already. Where an event has an epoch it is the one that begins, or would begin, with the
/// crossing: at the source the player is in the one before until ``departed(_:_:_:to:)``. That of ``returned(_:_:_:_:)`` is the
/// one in which the player goes on.
public enum WorldEvent: Sendable {
    /// The player stands before the door. A world that is guarded answers with
    /// ``FederationServer/answerArrival(_:in:refusal:)``; silence turns the player away.
    case arriving(HandoffID, PlayerID, Arrival)
    /// The player is here and playable, as they were when they were admitted.
    case admitted(HandoffID, PlayerRecord)
    /// The player is frozen: the state can no longer change until ``departed(_:_:_:to:)`` or ``returned(_:_:_:_:)``.
    case departing(HandoffID, PlayerID, Epoch)
    /// Decided: the player is no longer here.
    case departed(HandoffID, PlayerID, Epoch, to: ServerID)
    /// Nothing crossed; the player goes on here.
    case returned(HandoffID, PlayerID, Epoch, Refusal)
    /// A player who was arriving was not let in.
    case turnedAway(HandoffID, PlayerID, Refusal)
    /// A player who was arriving does not come: the source called it off, or could not be told any more.
    case withdrawn(HandoffID, PlayerID)
    /// The player, who was thought to be here, is not; what this world has of them is void.
    case gone(PlayerID)
}
