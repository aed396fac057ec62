import FederationCrypto
public import FederationModel
public import FederationService

/// Looks for servers' cards where they, or others, say that they are.
///
/// Whoever makes this server look is told the same whatever is behind an address: that no card was found. What it was is
/// for the operator's log.
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
        request.denied = denied
        do throws(Refusal) {
            return try await Self.card(request, by: fetcher)
        } catch {
            failed(endpoint, error)
        }
        throw Refusal(
            .conflict, code: "endpoint.unproven", reason: "no card was found at \(endpoint)",
            remedy: "see that the server answers there, from outside, at \(ServerAddress.wellKnown)")
    }

    /// The card that answers a request, or what really happened.
    static func card(_ request: FetchRequest, by fetcher: GuardedFetcher) async throws(Refusal) -> String {
        let document: FetchedDocument
        do throws(FetchFailure) {
            document = try await fetcher.fetch(request)
        } catch {
            throw error.refusal(of: request)
        }
        if document.status == 200, let compact = compact(document.body) { return compact }
        throw Refusal(
            .invalid, code: "card.malformed", reason: "\(request.origin) does not answer with a signed card",
            remedy: "it may be another kind of server")
    }

    /// A card in either form of RFC 7515 §7: compact, or flattened JSON, as a file on a web server may hold it.
    public static func compact(_ body: [UInt8]) -> String? {
        let bytes = body.drop { $0 <= 0x20 }
        guard bytes.first == 0x7B else {
            let text = String(decoding: bytes.prefix { (0x21...0x7E).contains($0) }, as: UTF8.self)
            return text.split(separator: ".", omittingEmptySubsequences: false).count == 3 ? text : nil
        }
        guard let members = try? JSONValue.parse(body), let header = members["protected"]?.text,
            let payload = members["payload"]?.text, let signature = members["signature"]?.text
        else { return nil }
        return "\(header).\(payload).\(signature)"
    }
}
