public import FederationModel

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
                remedy: offered > known
                    ? "this server knows of no crossing that has begun it: load the player, and compare, before you save"
                    : "the player has travelled since; load the newest state")
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
