import FederationCrypto
import FederationModel
import FederationService

/// What the server says on `/client`: JSON objects with a `type`.
enum ServerMessage {
    static func welcome(_ server: ServerID, challenge: [UInt8]) -> JSONValue {
        message("welcome", ["server": .text(server), "challenge": .string(hexString(challenge))])
    }

    static func joined(_ record: PlayerRecordMembers) -> JSONValue { message("joined", record.members) }

    static func arrived(_ record: PlayerRecordMembers) -> JSONValue { message("arrived", record.members) }

    static func error(_ refusal: Refusal) -> JSONValue { message("error", refusal.members) }

    static func redirect(_ id: HandoffID, _ redirect: Crossing.Redirect) -> JSONValue {
        message("redirect", redirect.members.merging(["handoff": .text(id)]) { own, _ in own })
    }

    static func offered(_ id: HandoffID) -> JSONValue { message("offered", ["handoff": .text(id)]) }

    /// nil for what a client is not told on this socket.
    static func update(_ update: PlayerUpdate) -> JSONValue? {
        switch update {
        case .progress(let id, let step):
            message("progress", step.members.merging(["handoff": .text(id)]) { own, _ in own })
        case .verifying(let id, let verified, let total):
            message("verifying", ["handoff": .text(id), "verified": .count(verified), "of": .count(total)])
        case .offered(let id):
            offered(id)
        case .redirect(let id, let redirect):
            self.redirect(id, redirect)
        case .returned(let id, let refusal):
            message("returned", refusal.members.merging(["handoff": .text(id)]) { own, _ in own })
        case .completed(let id):
            message("completed", ["handoff": .text(id)])
        case .voided(let id, let refusal):
            message("gone", refusal.members.merging(["handoff": .text(id)]) { own, _ in own })
        case .gone:
            message("gone", [:])
        case .revoked(let server, let isDead):
            error(FederationServer.revoked(server, isDead: isDead))
        case .admitted, .withdrawn:
            nil
        }
    }

    private static func message(_ type: String, _ members: [String: JSONValue]) -> JSONValue {
        .object(members.merging(["type": .string(type)]) { _, type in type })
    }
}

/// What a client learns of its player.
struct PlayerRecordMembers {
    let members: [String: JSONValue]
}
