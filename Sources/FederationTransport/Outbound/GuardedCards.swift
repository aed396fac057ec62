import FederationCrypto
public import FederationModel
public import FederationService

/// Looks for servers' cards where they, or others, say that they are.
///
/// Whoever makes this server look is told the same whatever is behind an address: that no card was found. What it was is
/// for the operator's log. Only that this server can ask nobody over TLS is told too: it is so wherever it would look.
public struct GuardedCards: CardSource {
    private let fetcher: GuardedFetcher
    private let failed: @Sendable (Endpoint, Refusal) -> Void

    /// - Parameter failed: is told what each failure really was.
    public init(_ fetcher: GuardedFetcher, failed: @escaping @Sendable (Endpoint, Refusal) -> Void = { _, _ in }) {
        self.fetcher = fetcher
        self.failed = failed
    }

    public func card(at endpoint: Endpoint) async throws(Refusal) -> String {
        try await card(at: endpoint, isOperatorsChoice: false, denied: [])
    }

    public func card(
        at endpoint: Endpoint, isOperatorsChoice: Bool, denied: [AddressRange]
    ) async throws(Refusal) -> String {
        var request = FetchRequest.card(of: endpoint)
        request.isOperatorsChoice = isOperatorsChoice
        request.isProvoked = !isOperatorsChoice
        request.followsRedirects = false
        request.denied = denied
        return try await card(request, at: endpoint)
    }

    public func card(
        at endpoint: Endpoint, forStrangerIn network: AddressRange?, denied: [AddressRange]
    ) async throws(Refusal) -> String {
        var request = FetchRequest.card(of: endpoint)
        request.isProvoked = true
        request.caller = network
        request.followsRedirects = false
        request.denied = denied
        return try await card(request, at: endpoint)
    }

    private func card(_ request: FetchRequest, at endpoint: Endpoint) async throws(Refusal) -> String {
        do throws(Refusal) {
            return try await Self.card(request, by: fetcher).compact
        } catch {
            failed(endpoint, error)
            guard error.code != Refusal.cannotLook else { throw .toldCannotLook }
        }
        throw Refusal(
            .conflict, code: "endpoint.unproven", reason: "no card was found at \(endpoint)",
            remedy: "see that the server answers there, from outside, at \(ServerAddress.wellKnown)")
    }

    /// The card that answers a request, or what really happened.
    static func card(_ request: FetchRequest, by fetcher: GuardedFetcher) async throws(Refusal) -> ServedCard {
        let document: FetchedDocument
        do throws(FetchFailure) {
            document = try await fetcher.fetch(request)
        } catch {
            throw error.refusal(of: request)
        }
        if document.status == 200, let compact = compact(document.body) {
            return ServedCard(compact: compact, address: document.address)
        }
        throw Refusal(
            .invalid, code: "card.malformed", reason: "\(request.origin) does not answer with a signed card",
            remedy: "it may be another kind of server")
    }

    /// A card in either form of RFC 7515 §7: compact, or flattened JSON, as a file on a web server may hold it.
    public static func compact(_ body: [UInt8]) -> String? {
        ServerCard.compact(in: body)
    }
}
