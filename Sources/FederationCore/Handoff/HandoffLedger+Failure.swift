public import FederationCrypto
public import FederationModel

extension HandoffLedger {
    /// Why a step was refused. Nothing changed.
    public enum Failure: Error, Hashable, Sendable {
        case notFound(HandoffID)
        /// The handoff is in a state in which the step makes no sense.
        case invalidState(HandoffID, HandoffState)
        /// The other end of the handoff is another server.
        case wrongPeer(HandoffID, expected: ServerID)
        /// The player has another handoff that is not over.
        case alreadyOpen(PlayerID, HandoffID)
        /// ``Limits/openHandoffsOfPlayer`` decided handoffs of the player wait for their receipts.
        case unconfirmed(PlayerID)
        case staleEpoch(PlayerID, offered: Epoch, known: Epoch)
        /// The token speaks of another player, world or handoff than the envelope.
        case playerMismatch(HandoffID)
        case snapshotTooLarge(Int)
        case snapshotHashMismatch(expected: ContentHash, actual: ContentHash)
        /// The portal leads to the server on which it stands.
        case sameWorld(ServerID)
        /// The token was redeemed before.
        case replayed(HandoffID)
        /// The source did not decide in time.
        case timeout(HandoffID)
        /// ``Limits/openHandoffs`` are open.
        case full
        /// The receipt is not one for this handoff.
        case invalidReceipt(HandoffID)
        /// The token offers the player but decides nothing.
        case undecided(HandoffID)
        /// The token itself was refused.
        case token(SessionToken.Failure)
    }
}

extension HandoffLedger.Failure {
    /// The failure for people and programs.
    public var refusal: Refusal {
        switch self {
        case .notFound(let id):
            refusal(
                .notFound, "unknown", "no handoff \(id) is known here", "the player is where they were; cross again")
        case .invalidState(let id, let state):
            refusal(
                .conflict, "invalidState", "handoff \(id) is \(state.rawValue)", "look at it: GET /v1/handoffs/\(id)")
        case .wrongPeer(let id, let expected):
            refusal(
                .forbidden, "wrongPeer", "handoff \(id) is one with \(expected)", "only \(expected) may speak of it")
        case .alreadyOpen(let player, let id):
            refusal(
                .conflict, "alreadyOpen", "\(player) is crossing already, in handoff \(id)", "wait until it is over")
        case .unconfirmed(let player):
            refusal(
                .conflict, "unconfirmed",
                "\(Limits.openHandoffsOfPlayer) crossings of \(player) wait for the word of the server they went to",
                "wait until one of those servers answers: GET /v1/handoffs?state=committed")
        case .staleEpoch(let player, let offered, let known):
            refusal(
                .conflict, "staleEpoch", "epoch \(offered) of \(player) is not newer than \(known)",
                "the player has been elsewhere since; use the newest copy")
        case .playerMismatch(let id):
            refusal(.forbidden, "playerMismatch", "the token is not one for handoff \(id)", "offer the player again")
        case .snapshotTooLarge(let size):
            refusal(
                .invalid, "snapshotTooLarge", "the player's state has \(size) bytes, over \(Limits.snapshotBytes)",
                "keep less in the state")
        case .snapshotHashMismatch(let expected, let actual):
            refusal(
                .invalid, "snapshotHashMismatch", "the player's state hashes to \(actual), not \(expected)",
                "offer the player again")
        case .sameWorld(let server):
            refusal(.invalid, "sameWorld", "the token leads back to \(server), which issued it", "change the route")
        case .replayed(let id):
            refusal(
                .conflict, "replayed", "the token of handoff \(id) was used before",
                "reconnect with the ticket; if it is lost, ask the world server for another")
        case .timeout(let id):
            refusal(.unavailable, "timeout", "handoff \(id) was not answered in time", "cross again")
        case .full:
            refusal(.overloaded, "full", "too many handoffs are open", "wait until some are over")
        case .invalidReceipt(let id):
            refusal(.forbidden, "invalidReceipt", "the receipt is not one for handoff \(id)", "report it to the peer")
        case .undecided(let id):
            refusal(
                .forbidden, "undecided", "the token of handoff \(id) offers the player but decides nothing",
                "show the token that the source gave when it decided")
        case .token(let failure):
            failure.refusal
        }
    }

    private func refusal(_ kind: Refusal.Kind, _ code: String, _ reason: String, _ remedy: String) -> Refusal {
        Refusal(kind, code: "handoff.\(code)", reason: reason, remedy: remedy, step: .handoff)
    }
}
