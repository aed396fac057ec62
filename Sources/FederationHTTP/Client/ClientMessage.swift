import FederationCrypto
import FederationModel
import FederationService

/// The first message of a player's client on `/client`, and the only one.
enum ClientOpening: Sendable {
    /// The player is here already: the ticket is what the world server was given when it entered the player, or what this
    /// socket answered to an arrival.
    case join(ticket: String)
    /// The player came through a portal: the token is what the source's socket said in `redirect`.
    case arrive(token: String, proof: [UInt8]?)

    /// Reads a text message; unknown members and types are refused by name.
    init(_ text: String) throws(Problem) {
        let value: JSONValue
        do {
            value = try JSONValue.parse(text, maximumBytes: Limits.clientMessageBytes)
        } catch {
            throw .badRequest("message.notJSON", "\(error)", remedy: "send one JSON object")
        }
        switch value["type"]?.text {
        case "join":
            let members = try Members(value, known: ["type", "ticket"])
            self = .join(ticket: try members.value("ticket", as: String.self, "the ticket"))
        case "arrive":
            let members = try Members(value, known: ["type", "token", "proof"])
            let proof = try members.optionalValue("proof", as: Signature.self, "128 lower-case hex digits")
            self = .arrive(token: try members.value("token", as: String.self, "the token"), proof: proof?.bytes)
        default:
            throw .badRequest(
                "message.unknown", "the first message is neither a join nor an arrival",
                remedy: "send {\"type\":\"join\",\"ticket\":…} or {\"type\":\"arrive\",\"token\":…}")
        }
    }

    private struct Signature: LosslessStringConvertible {
        let bytes: [UInt8]

        init?(_ description: String) {
            guard let bytes = bytesFromHex(description), bytes.count == 64 else { return nil }
            self.bytes = bytes
        }

        var description: String { hexString(bytes) }
    }
}

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
