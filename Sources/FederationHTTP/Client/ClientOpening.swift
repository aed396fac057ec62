import FederationCrypto
import FederationModel

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
