public import FederationModel

/// The port through which servers' signed cards are fetched from where they say that they are.
public protocol CardSource: Sendable {
    /// The card that is served at `endpoint` under `/.well-known/aether-federation`, as compact JWS. No redirect is followed: what
    /// answers behind one is not there. Nothing about the card is verified.
    ///
    /// - Throws: also `tls.failed` when this server can ask nobody over TLS, whatever is at `endpoint`.
    func card(at endpoint: Endpoint) async throws(Refusal) -> String

    /// The same where an operator has chosen the server by hand: then it may be at an address that strangers' words may not
    /// lead to, but never at a denied one.
    ///
    /// - Parameter denied: what the deny list names; also a name that resolves to such an address is not turned to.
    func card(
        at endpoint: Endpoint, isOperatorsChoice: Bool, denied: [AddressRange]
    ) async throws(Refusal) -> String

    /// The same on the word of a stranger, who says that the card is at `endpoint` itself.
    ///
    /// - Parameter network: the stranger's, where it is known: it gets no more than its share of what strangers may bring about.
    func card(
        at endpoint: Endpoint, forStrangerIn network: AddressRange?, denied: [AddressRange]
    ) async throws(Refusal) -> String
}

extension CardSource {
    public func card(
        at endpoint: Endpoint, isOperatorsChoice: Bool, denied: [AddressRange]
    ) async throws(Refusal) -> String {
        try await card(at: endpoint)
    }

    public func card(
        at endpoint: Endpoint, forStrangerIn network: AddressRange?, denied: [AddressRange]
    ) async throws(Refusal) -> String {
        try await card(at: endpoint, isOperatorsChoice: false, denied: denied)
    }
}

extension Refusal {
    /// The code of what keeps a server from asking anybody over TLS: it knows no roots.
    package static let cannotLook = "tls.failed"

    /// What others are told of it, who cannot mend it.
    package static let toldCannotLook = Refusal(
        .unavailable, code: cannotLook, reason: "this server has no root certificates, and can ask nobody over TLS",
        remedy: "tell its operator, or name an address without TLS")
}
