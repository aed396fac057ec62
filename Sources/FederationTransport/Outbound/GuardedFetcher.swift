public import FederationModel
public import NIOCore
public import NIOPosix

/// Fetches small signed documents from servers that somebody named: cards, and what registries answer.
///
/// It resolves names itself, checks every address with the ``AddressPolicy`` and connects to one that was checked; it
/// follows few redirects, each under the same rules; it bounds bytes, time and what runs at once. So nobody can use
/// this server to look into a network, or to keep it waiting.
public actor GuardedFetcher {
    public struct Configuration: Sendable {
        /// Where to it may turn.
        public var policy = AddressPolicy.publicOnly
        /// For everything: names, connections, redirects and the answer.
        public var timeLimit: Duration = .seconds(5)
        public var redirects = 3
        /// Requests at one time; of those that strangers bring about there is one to one server.
        public var concurrent = 8
        /// Requests that strangers may bring about to one address in a minute.
        public var provokedPerAddress = 6
        public var tls = PeerTLS()

        public init() {}
    }

    public nonisolated let configuration: Configuration
    private let resolver: any NameResolver
    private let group: any EventLoopGroup
    private var running = 0
    private var provoked: Set<Endpoint> = []
    /// Of what strangers bring about, by the network that they call from.
    private var callers: [AddressRange: Int] = [:]
    private var budget: TargetBudget

    /// - Throws: When roots that the TLS configuration names are not usable.
    public init(
        configuration: Configuration = Configuration(), resolver: any NameResolver = SystemResolver.shared,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) throws {
        try configuration.tls.prepare()
        self.init(unprepared: configuration, resolver: resolver, group: group)
    }

    init(unprepared configuration: Configuration, resolver: any NameResolver, group: any EventLoopGroup) {
        self.configuration = configuration
        budget = TargetBudget(perAddress: configuration.provokedPerAddress)
        self.resolver = resolver
        self.group = group
    }

    /// Carries out a request.
    ///
    /// - Returns: the answer, also one that refuses; a redirect is never returned.
    public func fetch(_ request: FetchRequest) async throws(FetchFailure) -> FetchedDocument {
        let deadline = NIODeadline.now() + (request.timeLimit ?? configuration.timeLimit).timeAmount
        let caller = request.isProvoked ? request.caller : nil
        guard running < configuration.concurrent, hasPlace(for: caller),
            !request.isProvoked || provoked.insert(request.origin).inserted
        else { throw .busy }
        running += 1
        if let caller { callers[caller, default: 0] += 1 }
        defer {
            running -= 1
            if request.isProvoked { provoked.remove(request.origin) }
            if let caller, let count = callers[caller] { callers[caller] = count > 1 ? count - 1 : nil }
        }
        var next = request
        for _ in 0...configuration.redirects {
            let answer = try await exchange(next, by: deadline)
            guard [301, 302, 303, 307, 308].contains(answer.status) else { return answer }
            let location = answer.headers["location"] ?? ""
            guard request.followsRedirects, let redirected = next.redirected(to: location) else {
                throw .forbiddenRedirect(Self.printable(location))
            }
            next = redirected
        }
        throw .tooManyRedirects
    }

    /// Whether one network may bring about another request now: it has half of the places at most.
    private func hasPlace(for caller: AddressRange?) -> Bool {
        guard let caller else { return true }
        return callers[caller, default: 0] < max(1, configuration.concurrent / 2)
    }

    /// Whether an address may be called now for a stranger, by another connection than a request; if so, it counts as one.
    func admitCall(to address: NetworkAddress) -> Bool { budget.admit(address, at: .now()) }

    private func exchange(_ request: FetchRequest, by deadline: NIODeadline) async throws(FetchFailure)
        -> FetchedDocument
    {
        // First: that nobody can be asked over TLS then tells nothing of the address.
        let exchange = try await FetchExchange(with: request.origin, group: group, tls: configuration.tls)
        let guarded = GuardedResolver(resolver: resolver, eventLoop: group.next())
        let addresses: [NetworkAddress]
        do throws(GuardedResolver.Failure) {
            addresses = try await guarded.addresses(
                of: request.origin.host,
                policy: request.isOperatorsChoice
                    ? .allBut(request.denied) : configuration.policy.denying(request.denied), by: deadline)
        } catch {
            switch error {
            case .unresolved(let reason): throw .unresolved(reason)
            case .timedOut: throw .timedOut
            case .refused(let refusal): throw .address(refusal)
            }
        }
        if request.isProvoked {
            for address in addresses where !budget.admit(address, for: request.caller, at: .now()) {
                throw .busy
            }
        }
        return try await exchange.run(request, at: addresses, by: deadline)
    }

    /// What another server sent, for one line on a terminal.
    private static func printable(_ text: String) -> String {
        let shown = text.unicodeScalars.prefix(120).map { (0x20...0x7E).contains($0.value) ? Character($0) : "?" }
        return shown.isEmpty ? "nowhere" : "'\(String(shown))'"
    }
}
