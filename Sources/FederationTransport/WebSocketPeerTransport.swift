public import FederationModel
public import FederationService
import FederationWebSocket
public import Metrics
public import NIOCore
public import NIOHTTP1
public import NIOPosix
import NIOSSL

/// The federation channel over WebSockets: accepts what the HTTP server upgrades on ``PeerRoute/path``, and dials
/// peers.
///
/// Make it with the server behind it, give ``accept(_:head:)`` to the HTTP server, start that, then start the server
/// with this transport, and ``shutdown()`` at the end.
public actor WebSocketPeerTransport: PeerTransport {
    /// What can be chosen; the defaults are for production.
    public struct Configuration: Sendable {
        public var tls: PeerTLS
        public var connectTimeout: Duration
        /// From the connection to the end of the upgrade.
        public var upgradeTimeout: Duration
        /// From the upgrade to Completed.
        public var handshakeTimeout: Duration
        /// Silence after which a channel is given up.
        public var idleTimeout: Duration
        /// Unfinished incoming handshakes, all together and from one address.
        public var openHandshakes: Int
        public var openHandshakesPerAddress: Int
        /// Whether the handshakes that an address begins are counted for this machine's own as well: a proxy there speaks for
        /// everybody.
        public var countsLoopback: Bool
        /// A number from 0 up to 1, for the jitter of the backoff.
        public var chance: @Sendable () -> Double
        /// For peers whose addresses are judged; see ``PeerChannelHost/addressPolicy(for:at:)``.
        public var resolver: any NameResolver

        public init() {
            tls = PeerTLS()
            connectTimeout = .seconds(10)
            upgradeTimeout = .seconds(10)
            handshakeTimeout = Limits.handshakeTimeout
            idleTimeout = PeerLimits.idleTimeout
            openHandshakes = PeerLimits.openIncomingHandshakes
            openHandshakesPerAddress = PeerLimits.openHandshakesPerAddress
            countsLoopback = false
            chance = { Double.random(in: 0..<1) }
            resolver = SystemResolver.shared
        }
    }

    /// One peer that is to be kept connected.
    private struct Dial {
        /// Tells a dial from an earlier one to the same peer.
        let number: UInt64
        /// Never empty; dialled in turn.
        var endpoints: [Endpoint]
        var attempts = 0
        var lastFailure: String?
        var lastCode: String?
        var nextAttempt: Instant?
        var pause: Task<Void, Never>?
        /// Whether the pause is a rest, because another channel with the peer was kept.
        var isResting = false
        /// Whether a channel has been asked for since the last attempt began.
        var isHastened = false
    }

    private let factory: PeerChannelFactory
    private let host: any PeerChannelHost
    private let configuration: Configuration
    private let clock: any FederationClock
    private let metrics: TransportMetrics
    private let group: any EventLoopGroup
    private var dials: [ServerID: Dial] = [:]
    private var lastNumber: UInt64 = 0
    private nonisolated let running = RunningChannels()

    /// - Throws: When roots that the TLS configuration names are not usable.
    public init(
        host: any PeerChannelHost, configuration: Configuration = Configuration(),
        clock: any FederationClock = SystemClock(), group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        metrics: any MetricsFactory = MetricsSystem.factory
    ) throws {
        self.host = host
        self.configuration = configuration
        self.clock = clock
        self.group = group
        self.metrics = TransportMetrics(factory: metrics)
        try configuration.tls.prepare()
        factory = PeerChannelFactory(
            host: host, clock: clock, metrics: self.metrics,
            gate: HandshakeGate(
                total: configuration.openHandshakes, perAddress: configuration.openHandshakesPerAddress,
                countsLoopback: configuration.countsLoopback),
            handshakeTimeout: configuration.handshakeTimeout, idleTimeout: configuration.idleTimeout)
    }

    // MARK: Accepting

    /// Takes over a socket that was upgraded on ``PeerRoute/path``. Call it where the upgrade is completed.
    public nonisolated func accept(_ channel: any Channel, head: HTTPRequestHead) -> EventLoopFuture<Void> {
        factory.accept(channel).map { [running] driver, isRefused in
            running.start(driver.socket) { mayRun in
                guard mayRun else { return await driver.refuse(.goingAway) }
                return isRefused ? await driver.refuse(.overloaded) : await driver.run()
            }
        }
    }

    // MARK: Dialling

    public func dial(_ peer: ServerID, at endpoints: [Endpoint]) {
        guard !running.isStopping, !endpoints.isEmpty else { return }
        if let dial = dials[peer] {
            guard dial.endpoints != endpoints else { return hasten(peer) }
            dials[peer]?.endpoints = endpoints
            dials[peer]?.attempts = 0
            dial.pause?.cancel()
            return
        }
        lastNumber += 1
        let number = lastNumber
        dials[peer] = Dial(number: number, endpoints: endpoints)
        Task { await self.keepDialled(peer, number) }
    }

    /// The service wants a channel: if this dial only rests because there was another one, that one is gone.
    private func hasten(_ peer: ServerID) {
        dials[peer]?.isHastened = true
        if let dial = dials[peer], dial.isResting { dial.pause?.cancel() }
    }

    public func hangUp(_ peer: ServerID) {
        dials.removeValue(forKey: peer)?.pause?.cancel()
    }

    public func dialState(of peer: ServerID) -> DialState? {
        guard let dial = dials[peer] else { return nil }
        let pause = dial.nextAttempt.map { max(0, ($0 - clock.now().instant).clampedNanoseconds / 1_000_000) }
        return DialState(
            attempts: dial.attempts, lastFailure: dial.lastFailure, lastCode: dial.lastCode,
            nextRetryMilliseconds: pause)
    }

    public func dialNow(_ peer: ServerID) {
        guard let dial = dials[peer], dial.nextAttempt != nil else { return }
        dial.pause?.cancel()
    }

    /// Dials until the peer is hung up on.
    private func keepDialled(_ peer: ServerID, _ number: UInt64) async {
        while let dial = current(peer, number) {
            dials[peer]?.isHastened = false
            // The peer's own dial was sooner: another channel would only supersede that one, and what is under way on it
            // would be lost.
            if await host.isConnected(to: peer) {
                if current(peer, number)?.isHastened == false { await rest(peer, number) }
                continue
            }
            let failure = await attempt(peer, number, dial.endpoints[dial.attempts % dial.endpoints.count])
            guard let dial = current(peer, number) else { return }
            dials[peer]?.attempts = dial.attempts + 1
            dials[peer]?.lastFailure = failure.reason
            dials[peer]?.lastCode = failure.code
            if failure.isSettled, !dial.isHastened { await rest(peer, number) }
            // Also when it is hastened: a channel that dies as soon as it stands is not dialled without a pause.
            guard let now = current(peer, number), !failure.isSettled || now.isHastened else { continue }
            let attempts = failure.isSettled ? 1 : now.attempts
            await pause(peer, number, DialBackoff.pause(after: attempts, chance: configuration.chance()))
        }
    }

    /// Waits as long as another channel with the peer may well live.
    private func rest(_ peer: ServerID, _ number: UInt64) async {
        dials[peer]?.isResting = true
        await pause(peer, number, Limits.dialBackoffMaximum)
        guard current(peer, number) != nil else { return }
        dials[peer]?.isResting = false
    }

    private func current(_ peer: ServerID, _ number: UInt64) -> Dial? {
        guard let dial = dials[peer], dial.number == number else { return nil }
        return dial
    }

    /// Waits for so long, or until the pause is cancelled: by another endpoint, or by haste in a rest.
    private func pause(_ peer: ServerID, _ number: UInt64, _ pause: Duration) async {
        let deadline = clock.now().instant + pause
        let sleeper = Task { [clock] in
            do { try await clock.sleep(until: deadline) } catch { return }
        }
        dials[peer]?.nextAttempt = deadline
        dials[peer]?.pause = sleeper
        await sleeper.value
        guard current(peer, number) != nil else { return }
        dials[peer]?.nextAttempt = nil
        dials[peer]?.pause = nil
    }

    /// Opens one channel and stays with it until it ends.
    private func attempt(_ peer: ServerID, _ number: UInt64, _ endpoint: Endpoint) async -> DialFailure {
        let target = WebSocketDialer.Target(
            host: endpoint.host.name, port: Int(endpoint.port), path: PeerRoute.path, subprotocol: PeerRoute.subprotocol
        )
        let driver: PeerChannelDriver
        do {
            let addresses = try await addresses(for: peer, at: endpoint)
            driver = try await dialer(endpoint).connect(to: target, at: addresses) { [factory] channel in
                factory.adopt(channel, peer: peer)
            }
        } catch {
            metrics.dialFailed()
            await host.dialFailed(peer, at: endpoint)
            let refusal = error as? Refusal
            return DialFailure(
                reason: "\(endpoint): \(refusal?.reason ?? "\(error)")", code: refusal?.code ?? "unreachable",
                isSettled: false)
        }
        let isWanted = current(peer, number) != nil
        let end = await running.run(driver.socket) { mayRun in
            guard mayRun, isWanted else { return await driver.refuse(.goingAway) }
            return await driver.run { await self.established(peer, number) }
        }
        if !end.wasEstablished, end.code != .duplicateChannel {
            metrics.dialFailed()
            await host.dialFailed(peer, at: endpoint)
        }
        return DialFailure(
            reason: "\(endpoint): \(end.reason)", code: end.code.map { "\($0)" } ?? "\(end.closure.code)",
            isSettled: end.code == .duplicateChannel)
    }

    /// What the endpoint's name resolves to, when it must be judged; nil leaves the name to the system.
    private func addresses(for peer: ServerID, at endpoint: Endpoint) async throws -> [SocketAddress]? {
        guard let policy = await host.addressPolicy(for: peer, at: endpoint) else { return nil }
        let guarded = GuardedResolver(resolver: configuration.resolver, eventLoop: group.next())
        do {
            return try await guarded.addresses(
                of: endpoint.host, policy: policy, by: .now() + configuration.connectTimeout.timeAmount
            )
            .map { try SocketAddress(ipAddress: "\($0)", port: Int(endpoint.port)) }
        } catch GuardedResolver.Failure.refused(let refusal) {
            throw refusal
        } catch GuardedResolver.Failure.unresolved(let reason) {
            throw WebSocketDialer.Failure.unreachable(reason)
        } catch GuardedResolver.Failure.timedOut {
            throw WebSocketDialer.Failure.unreachable("the name \(endpoint.host) was not resolved in time")
        }
    }

    private func established(_ peer: ServerID, _ number: UInt64) {
        guard current(peer, number) != nil else { return }
        dials[peer]?.attempts = 0
        dials[peer]?.lastFailure = nil
        dials[peer]?.lastCode = nil
    }

    private func dialer(_ endpoint: Endpoint) throws(WebSocketDialer.Failure) -> WebSocketDialer {
        let connect = configuration.connectTimeout.timeAmount
        let upgrade = configuration.upgradeTimeout.timeAmount
        guard endpoint.isSecure else {
            return WebSocketDialer(group: group, connectTimeout: connect, upgradeTimeout: upgrade)
        }
        let tls: NIOSSLContext
        do throws(PeerTLS.Unusable) {
            tls = try configuration.tls.context()
        } catch {
            throw .unreachable(connectionFailureText(error))
        }
        // A certificate for an address is checked against the address itself; SNI has names only (RFC 6066 §3).
        let name = endpoint.host.address == nil ? endpoint.host.name : nil
        return WebSocketDialer(group: group, connectTimeout: connect, upgradeTimeout: upgrade) { channel in
            try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
        }
    }

    // MARK: Stopping

    /// Stops dialling, closes every channel with `goingAway`, and returns when the server behind has been told of each
    /// end.
    public func shutdown() async {
        for peer in dials.keys.sorted() { hangUp(peer) }
        await running.stop()
    }
}

/// Why a dialled channel is not there.
private struct DialFailure {
    let reason: String
    /// For programs: a close code's name, a refusal's code or `unreachable`.
    let code: String
    /// Another channel with the same peer was kept: there is no hurry.
    let isSettled: Bool
}
