public import FederationModel

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
            refusal(.conflict, "replayed", "the token of handoff \(id) was used before", "reconnect with the ticket")
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

extension PlayerTable.Failure {
    /// The failure for people and programs.
    public var refusal: Refusal {
        switch self {
        case .notFound(let player):
            Refusal(
                .notFound, code: "player.unknown", reason: "\(player) has never been here",
                remedy: "enter the player in a world first")
        case .foreign(let player):
            Refusal(
                .forbidden, code: "player.foreign", reason: "\(player) is at home on \(player.home)",
                remedy: "players of other servers come through portals only")
        case .frozen(let player, let handoff):
            Refusal(
                .conflict, code: "player.frozen", reason: "\(player) is crossing in handoff \(handoff)",
                remedy: "wait until it is over: GET /v1/handoffs/\(handoff)")
        case .departed(let player, let server):
            Refusal(
                .conflict, code: "player.departed", reason: "\(player) is on \(server)",
                remedy: "the player comes back through a portal there")
        case .notPlaying(let player):
            Refusal(
                .conflict, code: "player.left", reason: "\(player) is not playing",
                remedy: "enter the player in a world first")
        case .wrongWorld(let player, let actual):
            Refusal(
                .conflict, code: "player.elsewhere", reason: "\(player) is in world \(actual)",
                remedy: "name that world")
        case .staleEpoch(let player, let offered, let known):
            Refusal(
                .conflict, code: "player.staleEpoch", reason: "epoch \(offered) of \(player) is not \(known)",
                remedy: "the player has travelled since; load the newest state")
        case .epochMissing(let player, let known):
            Refusal(
                .invalid, code: "player.epochMissing",
                reason: "\(player) has travelled, and the write does not say which epoch it is about",
                remedy: "load the player and send its epoch, now \(known)")
        case .notAway(let player):
            Refusal(
                .conflict, code: "player.notAway", reason: "\(player) is not on another server",
                remedy: "enter the player in a world; there is nothing to take back")
        case .notHome(let player):
            Refusal(
                .forbidden, code: "player.notHome", reason: "\(player) is at home on \(player.home)",
                remedy: "ask the operator of \(player.home) to reclaim the player")
        case .stateTooLarge(let size):
            Refusal(
                .invalid, code: "player.stateTooLarge",
                reason: "the state has \(size) bytes, over \(Limits.snapshotBytes)", remedy: "keep less in the state")
        case .full:
            Refusal(
                .overloaded, code: "player.full", reason: "the states of all players here would exceed the bound",
                remedy: "let players leave, or run a second server")
        }
    }
}
