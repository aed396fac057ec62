import FederationCore
import FederationCrypto
import FederationModel

/// Whether a card that was found is that of the server that it was looked for, and may be believed.
extension FederationServer {
    /// One finding, `card`: the first thing that is the matter with it.
    func examine(_ compact: String, of server: ServerID, at endpoint: Endpoint) -> Finding {
        let now = clock.now()
        let card: ServerCard
        do {
            card = try ServerCard.verify(compact, at: now.timestamp)
        } catch {
            let code =
                switch error {
                case .expired: "card.expired"
                case .notYetValid: "card.notYetValid"
                case .malformed, .badSignature, .wrongIssuer, .wrongAudience: "card.refused"
                }
            return .wrong(
                "card", code, "the card at \(endpoint) \(error.reason)",
                code == "card.refused"
                    ? "see what answers there; a proxy may have changed it"
                    : "set both clocks (NTP), and see that no proxy serves an old copy")
        }
        guard card.id == server else {
            return .wrong(
                "card", "card.otherServer", "\(card.id) answers at \(endpoint), not \(server)",
                "correct the endpoint, or where the port or the name leads")
        }
        guard server != id else { return examineOwn(card, at: endpoint) }
        do throws(Refusal) {
            switch try node.change(by: card, at: now) {
            case .none, .committed:
                break
            case .rotated, .revoked:
                return .warning(
                    "card", "key.changing", "\(server) has changed its key, and can prove it",
                    "nothing: this server follows when the channel opens")
            }
        } catch {
            return Finding(
                "card", .wrong, code: error.code, error.reason,
                remedy: error.remedy
                    + "; compare fingerprints before you trust it: it shows \(card.publicKey.fingerprint)")
        }
        if let known = node.registry.server(server), known.publicKey == card.publicKey,
            card.sequence < known.recordSequence
        {
            return .warning(
                "card", "card.old", "\(server) shows a card older than the one known here",
                "ask its operator whether it was restored from a backup, or a proxy serves an old copy")
        }
        guard card.endpoints.contains(endpoint) else {
            return .warning(
                "card", "card.otherEndpoint", "the card of \(server) does not name \(endpoint)",
                "its operator corrects the endpoint: \(card.endpoint)")
        }
        return .ok(
            "card", "the card of \(server) is its own, number \(card.sequence), key \(card.publicKey.fingerprint)")
    }

    private func examineOwn(_ card: ServerCard, at endpoint: Endpoint) -> Finding {
        guard card.publicKey == node.identity.publicKey else {
            return .wrong(
                "card", "card.otherKey", "another server with this one's id answers at \(endpoint)",
                "stop the other one, or correct where the port or the name leads")
        }
        return .ok("card", "this server's own card answers at \(endpoint)")
    }
}
