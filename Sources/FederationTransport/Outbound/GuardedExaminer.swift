import FederationCrypto
public import FederationModel
public import FederationService
public import NIOCore
public import NIOPosix

/// Looks at other servers for examinations, under the rules of ``GuardedFetcher``: the same address policy, the same bounds.
public struct GuardedExaminer: ExaminationLink {
    /// For what this server's operator asks.
    private let fetcher: GuardedFetcher
    /// For trying back, so that others' inquiries keep no operator waiting.
    private let provoked: GuardedFetcher
    private let endpoints: EndpointProbe

    /// Whoever is asked tries back before it answers.
    static let askLimit: Duration = .seconds(20)
    /// Calls of one address in a minute while others are tried back: each takes two, the card and the probe.
    static let provokedPerAddress = 12

    /// - Parameter stageLimit: for the names and each connection; and once more for TLS and the upgrade.
    /// - Throws: When roots that the TLS configuration names are not usable.
    public init(
        configuration: GuardedFetcher.Configuration = GuardedFetcher.Configuration(),
        stageLimit: Duration = .seconds(3),
        resolver: any NameResolver = SystemResolver.shared,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) throws {
        fetcher = try GuardedFetcher(configuration: configuration, resolver: resolver, group: group)
        var bounded = configuration
        bounded.provokedPerAddress = Self.provokedPerAddress
        provoked = try GuardedFetcher(configuration: bounded, resolver: resolver, group: group)
        endpoints = EndpointProbe(
            resolver: resolver, group: group, tls: configuration.tls, timeLimit: stageLimit)
    }

    public func probe(_ endpoint: Endpoint, within reach: ExaminationReach) async -> [Finding] {
        await endpoints.run(endpoint, policy: policy(reach))
    }

    public func probe(
        _ endpoint: Endpoint, at address: NetworkAddress, within reach: ExaminationReach
    ) async -> [Finding] {
        if reach.isProvoked && !reach.isOperatorsChoice {
            let isAdmitted = await provoked.admitCall(to: address)
            guard isAdmitted else {
                return [
                    .warning(
                        "endpoint", "inquiry.busy", "too often has this address been looked at",
                        "ask again in a minute")
                ]
            }
        }
        return await endpoints.run(endpoint, at: address, policy: policy(reach))
    }

    private func policy(_ reach: ExaminationReach) -> AddressPolicy {
        reach.isOperatorsChoice ? .allBut(reach.denied) : fetcher.configuration.policy.denying(reach.denied)
    }

    public func card(at endpoint: Endpoint, within reach: ExaminationReach) async throws(Refusal) -> ServedCard {
        var request = FetchRequest.card(of: endpoint)
        request.isOperatorsChoice = reach.isOperatorsChoice
        // Where the operator's word leads it may lead often.
        request.isProvoked = reach.isProvoked && !reach.isOperatorsChoice
        request.denied = reach.denied
        request.followsRedirects = !reach.isProvoked
        return try await GuardedCards.card(request, by: reach.isProvoked ? provoked : fetcher)
    }

    public func ask(
        _ inquiry: String, at endpoint: Endpoint, within reach: ExaminationReach
    ) async throws(Refusal) -> String {
        var request = try Self.request(endpoint, FetchRequest.inquiryPath)
        request.method = .post
        request.body = Array(inquiry.utf8)
        request.contentType = "application/jose"
        request.accept = "application/jose"
        request.isOperatorsChoice = reach.isOperatorsChoice
        request.denied = reach.denied
        request.timeLimit = Self.askLimit
        let document = try await fetch(request)
        if document.status == 200 {
            return String(decoding: document.body, as: UTF8.self).filter { !$0.isWhitespace }
        }
        throw Self.refusal(document)
    }

    public func listing(
        of server: ServerID, at registry: String, denied: [AddressRange]
    ) async throws(Refusal) -> [UInt8] {
        guard let origin = Self.origin(registry) else {
            throw Refusal(
                .invalid, code: "registry.unreachable", reason: "\(registry) is no registry's address",
                remedy: "write it as http://host:port or https://host:port")
        }
        var request = try Self.request(origin, "/v1/servers/\(server)")
        request.isOperatorsChoice = true
        request.denied = denied
        do throws(Refusal) {
            let document = try await fetch(request)
            if document.status == 200 { return document.body }
            throw document.status == 404 ? Self.unlisted(server) : Self.refusal(document)
        } catch {
            let isAsked = error.code != "fetch.busy" && ["fetch.", "tls."].contains(where: error.code.hasPrefix)
            guard error.code == "server.unreachable" || isAsked else { throw error }
            throw Refusal(
                .unavailable, code: "registry.unreachable", reason: error.reason,
                remedy: "\(error.remedy); everything else goes on without it")
        }
    }

    private static func unlisted(_ server: ServerID) -> Refusal {
        Refusal(
            .notFound, code: "server.unknown", reason: "it does not list \(server)",
            remedy: "wait a minute: a server registers itself")
    }

    private static func origin(_ registry: String) -> Endpoint? {
        for (scheme, socket) in [("http://", "ws://"), ("https://", "wss://")] where registry.hasPrefix(scheme) {
            return Endpoint(socket + registry.dropFirst(scheme.count))
        }
        return nil
    }

    private static func request(_ origin: Endpoint, _ path: String) throws(Refusal) -> FetchRequest {
        guard let request = FetchRequest(origin, path) else {
            throw Refusal(
                .invalid, code: "fetch.forbiddenPath", reason: "nothing is looked for at \(path)",
                remedy: "report it: this is a mistake in the program")
        }
        return request
    }

    private func fetch(_ request: FetchRequest) async throws(Refusal) -> FetchedDocument {
        do throws(FetchFailure) {
            return try await fetcher.fetch(request)
        } catch {
            throw error.refusal(of: request)
        }
    }

    /// What another server refused with. What is no refusal of one that takes inquiries is that of one that does not.
    private static func refusal(_ document: FetchedDocument) -> Refusal {
        let problem = try? JSONValue.parse(document.body)
        guard let code = problem?["code"]?.text, code.hasPrefix("inquiry."), Refusal.isCode(code) else {
            return Refusal(
                .notFound, code: "inquiry.notTaken",
                reason: "the peer takes no inquiries (HTTP status \(document.status))",
                remedy: "its operator updates it, or lets the proxy there pass \(FetchRequest.inquiryPath)")
        }
        return Refusal(
            .forbidden, code: code, reason: Finding.text(problem?["detail"]?.text ?? "the inquiry was refused"),
            remedy: Finding.text(problem?["remedy"]?.text ?? "ask its operator"))
    }
}
