import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import FederationTransport
import FederationWebSocket
import Foundation
import Logging
import NIOCore
import NIOPosix

/// A server with many peers, in a process of its own; or, to compare, as many sockets with nothing but a WebSocket each.
enum PeerHub {
    /// What the role's id is when there are only sockets.
    static let bare = "bare"
    static let interval = Duration.seconds(1)

    static func serve(isBare: Bool) async throws {
        try Descriptors.raise()
        if isBare {
            let sockets = BareSockets()
            await Commands.answer { words in
                if words[0] == "socket" { return try await sockets.open(Int(words[1]) ?? 0) }
                return try process(words[0])
            }
        } else {
            let server = try await server()
            let transport = try WebSocketPeerTransport(host: server)
            try await server.start(transport: transport)
            await Commands.answer { words in
                if words[0] == "peer" { return try await connect(words[1], server) }
                return try process(words[0])
            }
            await server.stop()
            await transport.shutdown()
        }
        Commands.sayEnded()
    }

    private static func server() async throws -> FederationServer {
        guard let endpoint = Endpoint("ws://127.0.0.1:7700") else { throw CoreTables.Problem.sample }
        var configuration = NodeConfiguration(
            name: "A hub", endpoint: endpoint, health: try HealthThresholds(interval: interval))
        configuration.network = .allBut([])
        return try await FederationServer.open(
            identity: try ServerIdentity(id: ServerID(unchecked: "hub"), seed: Array(repeating: 2, count: 32)),
            configuration: configuration, store: MemoryStore(), assets: MemoryAssetStore(),
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// Adds a peer and waits until it is connected.
    private static func connect(_ card: String, _ server: FederationServer) async throws -> String {
        let peer = try await server.addPeer(card).id
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(60)
        while try await server.peer(peer).state != .connected {
            guard clock.now < deadline else { throw Child.Failure(description: "\(peer) was not connected") }
            try await Task.sleep(for: .milliseconds(1))
        }
        return "\(peer)"
    }

    /// What is asked of any process.
    static func process(_ command: String) throws -> String {
        switch command {
        case "resident": return "\(Memory.resident)"
        case "processor": return "\(CPUTime.now)"
        default: throw Child.Failure(description: "no such command")
        }
    }
}

/// Sockets that are upgraded and then do nothing.
private actor BareSockets {
    private var channels: [any Channel] = []

    func open(_ port: Int) async throws -> String {
        let target = WebSocketDialer.Target(
            host: "127.0.0.1", port: port, path: PeerRoute.path, subprotocol: PeerRoute.subprotocol)
        let channel = try await WebSocketDialer(group: MultiThreadedEventLoopGroup.singleton).connect(to: target) {
            Self.attach(to: $0, .client)
        }
        channels.append(channel)
        return "\(channels.count)"
    }

    static func attach(to channel: any Channel, _ role: WebSocketRole) -> EventLoopFuture<any Channel> {
        channel.eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(
                WebSocketHandler(.init(role: role, accepts: .binary, maximumMessageBytes: Limits.recordBytes)))
            return channel
        }
    }
}

/// The many peers of a server, in a process of their own: one port, and whoever is to be met there next.
enum PeerCrowd {
    static func serve(isBare: Bool) async throws {
        try Descriptors.raise()
        let group = MultiThreadedEventLoopGroup.singleton
        if isBare {
            let listener = try await Listener.start(on: group) { channel, _ in
                BareSockets.attach(to: channel, .server).map { _ in }
            }
            await Commands.answer { _ in "\(listener.localAddress?.port ?? 0)" }
            try await listener.close().get()
        } else {
            let host = try PeerHost("crowd", suites: CipherSuite.standard)
            let transport = try WebSocketPeerTransport(host: host)
            let listener = try await Listener.start(transport, on: group)
            let endpoint = try Listener.endpoint(listener)
            await Commands.answer { words in
                switch words[0] {
                case "card": return try card(Int(words[1]) ?? 0, host, endpoint)
                case "heartbeats": return "\(host.arrived.count)"
                default: throw Child.Failure(description: "no such command")
                }
            }
            await transport.shutdown()
            try await listener.close().get()
        }
        Commands.sayEnded()
    }

    /// Makes the next peer, who answers from now on.
    private static func card(_ number: Int, _ host: PeerHost, _ endpoint: Endpoint) throws -> String {
        let seed = Array(repeating: UInt8(5), count: 24) + withUnsafeBytes(of: UInt64(number)) { Array($0) }
        let identity = try ServerIdentity(id: ServerID(unchecked: "peer-\(number)"), seed: seed)
        host.appear(as: identity)
        let now = SystemClock().now().timestamp
        return ServerCard(
            id: identity.id, name: "Peer \(number)", endpoint: endpoint, publicKey: identity.publicKey, sequence: 1,
            worlds: [], issued: now, expires: now + .seconds(24 * 3_600)
        ).issue(by: identity)
    }
}

/// A thousand sockets are more than a process usually may have.
enum Descriptors {
    static func raise() throws {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_max >= 2_048 else {
            throw Child.Failure(description: "a process may open only \(limit.rlim_max) files; raise it with ulimit -n")
        }
    }
}
