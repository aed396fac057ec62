import FederationModel
import FederationService
import FederationTransport
import Foundation

/// Talks to registries over HTTP, within the bounds of ``RegistryLink``. The operator has named them, so they may be at private
/// addresses, but never at denied ones.
struct HTTPRegistryLink: RegistryLink {
    private let fetcher: GuardedFetcher
    private let denied: @Sendable () async -> [AddressRange]

    /// How long a whole answer may take.
    private static let timeLimit: Duration = .seconds(10)

    /// - Parameters:
    ///   - tls: for `https`.
    ///   - denied: the addresses that the policy denies at this moment, also to names that resolve to them.
    init(tls: PeerTLS, denied: @escaping @Sendable () async -> [AddressRange] = { [] }) throws {
        var configuration = GuardedFetcher.Configuration()
        configuration.timeLimit = Self.timeLimit
        configuration.concurrent = Limits.registries
        configuration.tls = tls
        fetcher = try GuardedFetcher(configuration: configuration)
        self.denied = denied
    }

    func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8] {
        let outgoing = try await fetchRequest(of: request)
        let document: FetchedDocument
        do throws(FetchFailure) {
            document = try await fetcher.fetch(outgoing)
        } catch {
            if case .address(let refusal) = error { throw refusal }
            let refusal = error.refusal(of: outgoing)
            throw Refusal(
                .unavailable, code: "registry.unreachable", reason: "the registry cannot be asked: \(refusal.reason)",
                remedy: "\(refusal.remedy); everything else goes on without it")
        }
        guard (200..<300).contains(document.status) else { throw Self.refusal(document, request) }
        return document.body
    }

    private func fetchRequest(of request: RegistryRequest) async throws(Refusal) -> FetchRequest {
        guard let origin = Self.origin(request.address), var outgoing = FetchRequest(origin, request.path),
            let method = FetchRequest.Method(rawValue: request.method)
        else {
            throw Refusal(
                .invalid, code: "registry.unreachable", reason: "\(request.address) is no registry's address",
                remedy: "write it as http://host:port or https://host:port")
        }
        outgoing.method = method
        outgoing.maximumBytes = Limits.registryAnswerBytes
        outgoing.isOperatorsChoice = true
        outgoing.followsRedirects = false
        outgoing.denied = await denied()
        if let statement = request.statement {
            outgoing.contentType = "application/jose"
            outgoing.body = Array(statement.utf8)
        }
        return outgoing
    }

    private static func origin(_ address: String) -> Endpoint? {
        for (scheme, socket) in [("http://", "ws://"), ("https://", "wss://")] where address.hasPrefix(scheme) {
            return Endpoint(socket + address.dropFirst(scheme.count))
        }
        return nil
    }

    private static func refusal(_ document: FetchedDocument, _ request: RegistryRequest) -> Refusal {
        let problem = JSONText(data: Data(document.body)).fields
        func line(_ text: String?) -> String? { text.map { String(oneLine($0).prefix(300)) } }
        return Refusal(
            document.status == 429 ? .overloaded : .unavailable,
            code: problem["code"].string.flatMap { Refusal.isCode($0) ? $0 : nil } ?? "http.status\(document.status)",
            reason: line(problem["detail"].string) ?? "\(request.address) answers with status \(document.status)",
            remedy: line(problem["remedy"].string) ?? "check the address; it may be another kind of server")
    }
}
