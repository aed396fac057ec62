public import FederationModel

/// The port through which servers' signed cards are fetched from where they say that they are.
public protocol CardSource: Sendable {
    /// The card that is served at `endpoint` under `/.well-known/aether-federation`, as compact JWS. Nothing about it is
    /// verified.
    func card(at endpoint: Endpoint) async throws(Refusal) -> String
}
