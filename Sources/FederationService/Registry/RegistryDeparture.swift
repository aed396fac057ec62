public import FederationCrypto
public import FederationModel

/// Leaving a registry without the running server.
public enum RegistryDeparture {
    /// A server's wish to leave a registry, for the newest card of its own that is shown there.
    ///
    /// The number is that of a card which the server has signed, not one that the registry, or whoever stands in between, only
    /// names: a higher one would keep the server out until its cards have counted as far.
    ///
    /// - Parameter entry: what the registry answers about the server.
    /// - Throws: `registry.malformed`; `registry.unsigned` without a card under the server's present key.
    public static func statement(
        of identity: ServerIdentity, shownAs entry: [UInt8], by registry: ServerID, at now: Timestamp
    ) throws(Refusal) -> String {
        guard let json = try? JSONValue.parse(entry, maximumBytes: Limits.registryAnswerBytes) else {
            throw Refusal(
                .unavailable, code: "registry.malformed",
                reason: "\(registry) answers with something else than a server",
                remedy: "check the address; it may be another kind of server, or another version")
        }
        guard let compact = json["card"].flatMap(ServerCard.compact(flattened:)),
            let card = try? ServerCard.verifySignature(compact), card.id == identity.id,
            card.publicKey == identity.publicKey
        else {
            throw Refusal(
                .conflict, code: "registry.unsigned",
                reason: "\(registry) lists \(identity.id) without a card under its present key",
                remedy: "let the server register its card there once more, or ask the registry's operator to remove it")
        }
        return DeregistrationStatement(
            issuer: identity.id, registry: registry, sequence: card.sequence, issuedAt: now
        ).issue(by: identity)
    }
}
