import FederationCore
import FederationCrypto
import FederationHTTP
import FederationModel
import FederationSQLite
import FederationService
import FederationTransport
import Foundation
import Hummingbird
import Logging
import Metrics
import NIOCore
import NIOSSL
import ServiceLifecycle
import UnixSignals

/// The composition root: joins one server's core, store, transport and HTTP API, and runs them until a signal ends it.
struct RunningServer {
    let configuration: ServerConfiguration
    let home: ServerHome
    let logger: Logger
    /// Whether the end of standard input ends the server: for servers that belong to another process.
    let endsWithInput: Bool
    /// See ``RehearsedClock``; nil for the machine's clock.
    var clockFile: String?

    func run() async throws {
        try Self.checkTLS(configuration)
        var limits = configuration.listener
        OpenFiles.fit(&limits, logger: logger)
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)
        let system = SystemClock(offset: configuration.clockOffset)
        let clock: any FederationClock = clockFile.map { RehearsedClock(clock: system, file: $0) } ?? system
        let directory = try DataDirectory(at: home.path)
        try ListeningRecord.remove(in: home)
        let store = try await SQLiteStore.open(in: directory)
        let keys = KeyFiles(home: home, id: configuration.id)
        let server = try await FederationServer.open(
            configuration: try nodeConfiguration(), store: store,
            assets: try await FileAssetStore.open(in: directory), clock: clock, logger: logger
        ) { noted in
            if home.hasRun, noted.present == nil { logger.warning("\(Self.emptyStore(home))") }
            return try keys.identify(&noted)
        }
        // One for all that dials, so that roots are read once.
        let outgoing = PeerTLS.trusting(configuration.tlsTrustRoots)
        let fetching = fetching(outgoing)
        let transport = try WebSocketPeerTransport(
            host: server, configuration: transportConfiguration(outgoing), clock: clock)
        let peers = WebSocketRoute(path: PeerRoute.path, subprotocol: PeerRoute.subprotocol) { channel, head in
            transport.accept(channel, head: head)
        }
        let routes = FederationRoutes(
            server: server, admin: AdminAuthenticator(keyHash: try home.adminHash()), metrics: registry,
            registryAccess: configuration.servesRegistry ? .signed : .admin, clock: clock)
        let listener = Listener()
        let application = Application(
            router: routes.makeRouter(),
            server: try .upgradable(
                routes: [peers, ClientSocket(server: server, clock: clock).route], limits: limits, tls: tls),
            configuration: .listener(host: configuration.host, port: configuration.port, limits: limits),
            onServerRunning: { channel in listener.bound(channel.localAddress) }, logger: logger)
        let registries = RegistryClient(
            server: server, addresses: configuration.registries,
            link: try HTTPRegistryLink(tls: outgoing) {
                await server.policy().deniedAddresses
            },
            configuration: .init(interval: max(configuration.heartbeatInterval, .seconds(5))), clock: clock)
        let federation = FederationLoop(
            server: server, transport: transport, registries: registries, cards: try cards(fetching),
            peerCards: try cards(fetching),
            examiner: try GuardedExaminer(configuration: fetching),
            heartbeats: GuardedHeartbeats(try GuardedFetcher(configuration: fetching)), store: store, keys: keys,
            listener: listener, configuration: configuration, logger: logger)
        // Named, because the names that they would be given describe all that they hold. The last is stopped first, and each only
        // when the one behind it has ended.
        var services: [(name: String, service: any Service)] = [
            ("federation", federation), ("http", application),
            ("winding down", WindingDown(server: server, home: home)),
        ]
        if endsWithInput { services.append(("input", InputWatch())) }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.map {
                    .init(
                        service: $0.service, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .gracefullyShutdownGroup, serviceName: $0.name)
                },
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        do {
            try await group.run()
        } catch let error as IOError where error.errnoCode == EADDRNOTAVAIL {
            throw cannotListen("\(configuration.host) is no address of this machine", remedy: Self.otherHost)
        } catch let error as IOError {
            throw cannotListen("\(error)", remedy: "stop what listens there, or choose another with --port")
        } catch is SocketAddressError.UnknownHost {
            throw cannotListen("the name \(configuration.host) is not known here", remedy: Self.otherHost)
        }
    }

    /// A store without a note of its keys has never been started with: what was in it is elsewhere, or was cut off a copy.
    static func emptyStore(_ home: ServerHome) -> Refusal {
        Refusal(
            .conflict, code: "store.empty",
            reason: "the store in \(home.path) is empty, although a server has run here before",
            remedy:
                "if it comes from a backup, restore the whole directory: federation.sqlite3-wal belongs to federation.sqlite3"
        )
    }

    private static let otherHost = "correct listen.host (--host): an address of this machine, or 0.0.0.0"

    private func cannotListen(_ cause: String, remedy: String) -> Refusal {
        Refusal(
            .unavailable, code: "listen.failed",
            reason: "cannot listen on \(configuration.host):\(configuration.port): \(cause)", remedy: remedy)
    }

    /// Reads the PEM files, as starting would; throws a refusal that names the one that is damaged.
    static func checkTLS(_ configuration: ServerConfiguration) throws {
        func refuse(_ file: String, _ what: String) -> Refusal {
            Refusal(
                .invalid, code: "tls.unreadable", reason: "\(file) holds no readable \(what)",
                remedy: "name a PEM file that this user may read")
        }
        for file in [configuration.tlsCertificate, configuration.tlsTrustRoots].compactMap(\.self) {
            let chain = try? NIOSSLCertificate.fromPEMFile(file)
            guard chain?.isEmpty == false else { throw refuse(file, "certificate") }
        }
        guard let certificate = configuration.tlsCertificate, let file = configuration.tlsKey else { return }
        guard let key = try? NIOSSLPrivateKey(file: file, format: .pem) else { throw refuse(file, "private key") }
        let chain = try NIOSSLCertificate.fromPEMFile(certificate)
        do {
            _ = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
        } catch {
            throw Refusal(
                .invalid, code: "tls.mismatch",
                reason: "the key in \(file) is not that of the certificate in \(certificate)",
                remedy: "name the two files that belong together")
        }
    }

    private var tls: ListenerTLS? {
        guard let certificate = configuration.tlsCertificate, let key = configuration.tlsKey else { return nil }
        return ListenerTLS(certificateChainFile: certificate, privateKeyFile: key)
    }

    private func nodeConfiguration() throws -> NodeConfiguration {
        var node = NodeConfiguration(
            name: configuration.name, endpoint: configuration.endpoint,
            handshake: HandshakeConfiguration(
                suites: configuration.allowsClassicalSuites ? CipherSuite.allCases : CipherSuite.standard),
            health: try configuration.healthThresholds(), acceptTimeout: configuration.acceptTimeout,
            arrivalTimeout: configuration.arrivalTimeout, handoffRetention: configuration.handoffRetention,
            servesRegistry: configuration.servesRegistry)
        node.network = configuration.network
        node.registeredServers = configuration.registeredServers
        node.listedServers = configuration.listedServers
        node.addresses = configuration.addresses
        return node
    }

    /// Fetches what strangers and peers name, within bounds; what was behind an address is for this log only.
    private func cards(_ fetching: GuardedFetcher.Configuration) throws -> GuardedCards {
        GuardedCards(try GuardedFetcher(configuration: fetching)) { [logger] endpoint, refusal in
            // What this server lacks itself is its operator's to mend.
            let level: Logger.Level = refusal.code == Refusal.cannotLook ? .error : .info
            logger.log(level: level, "no card at \(endpoint): \(refusal.reason)", metadata: ["code": "\(refusal.code)"])
        }
    }

    private func fetching(_ tls: PeerTLS) -> GuardedFetcher.Configuration {
        var fetching = GuardedFetcher.Configuration()
        fetching.policy = configuration.network
        fetching.tls = tls
        return fetching
    }

    private func transportConfiguration(_ tls: PeerTLS) -> WebSocketPeerTransport.Configuration {
        var transport = WebSocketPeerTransport.Configuration()
        transport.tls = tls
        return transport
    }
}

/// Winds the federation down before the port closes: world servers go with the port, and nobody enters behind their backs.
private struct WindingDown: Service {
    let server: FederationServer
    let home: ServerHome

    func run() async throws {
        try await gracefulShutdown()
        // Whoever has the port next is somebody else. What cannot be removed counts for nothing once the directory is closed.
        try? ListeningRecord.remove(in: home)
        await server.windDown()
    }
}

/// Starts the federation once the port is bound, and stops it in the order in which nothing is lost. By then nothing new begins
/// (``WindingDown``) and the port is closed; everything that was promised is made durable, the channels close, then the store.
private struct FederationLoop: Service {
    let server: FederationServer
    let transport: WebSocketPeerTransport
    let registries: RegistryClient
    let cards: GuardedCards
    /// With places of its own, so that strangers' registrations keep no peer from being followed to its new key.
    let peerCards: GuardedCards
    let examiner: GuardedExaminer
    let heartbeats: GuardedHeartbeats
    let store: SQLiteStore
    let keys: KeyFiles
    let listener: Listener
    let configuration: ServerConfiguration
    let logger: Logger

    func run() async throws {
        // A port that cannot be had shuts the group down: nobody is told an address then.
        let address = await cancelWhenGracefulShutdown { await listener.address() }
        guard let address else { return try await store.close() }
        if let place = address.ip, let port = address.port {
            try ListeningRecord(configuration, address: place, port: port).write(in: keys.home)
        }
        // What the keys have promised is in the store by now.
        try keys.home.noteThatItRuns()
        do {
            try await server.start(
                transport: transport, cards: cards, peerCards: peerCards, keys: keys, examiner: examiner,
                heartbeats: heartbeats)
        } catch {
            try? await end()
            throw error
        }
        logger.notice("\(server.id) is listening on \(address.text)")
        let reading = Task { await registries.run() }
        try await gracefulShutdown()
        reading.cancel()
        try await end()
        logger.notice("\(server.id) has stopped")
    }

    private func end() async throws {
        await server.stop()
        await transport.shutdown()
        try await store.close()
    }
}

/// Tells when the port is bound.
private final class Listener: Sendable {
    struct Address: Sendable {
        let ip: String?
        let port: Int?

        var text: String { ip.map { "\($0):\(port ?? 0)" } ?? "?" }
    }

    private let stream: AsyncStream<Address>
    private let continuation: AsyncStream<Address>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream(of: Address.self, bufferingPolicy: .bufferingNewest(1))
    }

    func bound(_ address: SocketAddress?) {
        continuation.yield(Address(ip: address?.ipAddress, port: address?.port))
        continuation.finish()
    }

    /// The bound address; nil when the task is cancelled before.
    func address() async -> Address? {
        for await address in stream { return address }
        return nil
    }
}
