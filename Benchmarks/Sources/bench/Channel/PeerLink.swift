import FederationCrypto
import FederationModel
import FederationService
import FederationTransport
import FederationWebSocket
import FederationWire
import NIOCore
import NIOHTTP1
import NIOPosix

/// Ours: two servers' transports, connected through a socket, each on an event loop of its own.
final class PeerLink: Link {
    private let near: PeerHost
    private let far: PeerHost
    private let transports: [WebSocketPeerTransport]
    private let listener: any Channel
    private let sink: any PeerChannel

    var arrived: Arrivals { far.arrived }
    var answered: Arrivals { near.arrived }

    init(suites: [CipherSuite], groups: Loops) async throws {
        near = try PeerHost("near", suites: suites)
        far = try PeerHost("far", suites: suites)
        let dialling = try WebSocketPeerTransport(host: near, group: groups.near)
        let accepting = try WebSocketPeerTransport(host: far, group: groups.far)
        transports = [dialling, accepting]
        listener = try await Listener.start(accepting, on: groups.far)
        await dialling.dial(far.identity.id, at: [try Listener.endpoint(listener)])
        await near.established.reach(1)
        await far.established.reach(1)
        guard let sink = near.sink else { throw CoreTables.Problem.sample }
        self.sink = sink
    }

    func send(_ frame: FederationFrame) {
        sink.send(frame)
    }

    func close() async throws {
        for transport in transports { await transport.shutdown() }
        try await listener.close().get()
    }
}

/// One event loop for each end.
struct Loops: Sendable {
    let near = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let far = MultiThreadedEventLoopGroup(numberOfThreads: 1)
}

/// A port of its own on which `/federation` belongs to a transport.
enum Listener {
    static func start(
        _ transport: WebSocketPeerTransport, on group: any EventLoopGroup
    ) async throws -> any Channel {
        try await start(on: group) { channel, head in transport.accept(channel, head: head) }
    }

    /// - Parameter prepare: adds what stands below HTTP, such as TLS.
    static func start(
        on group: any EventLoopGroup, prepare: @escaping @Sendable (any Channel) throws -> Void = { _ in },
        upgraded: @escaping @Sendable (any Channel, HTTPRequestHead) -> EventLoopFuture<Void>
    ) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 1_024)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try prepare(channel)
                    let upgrader = WebSocketServerUpgrader<Void>(
                        accept: { _ in ["Sec-WebSocket-Protocol": PeerRoute.subprotocol] }, upgraded: upgraded)
                    _ = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                        configuration: .init(
                            upgradeConfiguration: .init(
                                upgraders: [upgrader],
                                notUpgradingCompletionHandler: { channel in channel.close() })))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    static func endpoint(_ channel: any Channel) throws -> Endpoint {
        guard let port = channel.localAddress?.port, let endpoint = Endpoint("ws://127.0.0.1:\(port)") else {
            throw CoreTables.Problem.sample
        }
        return endpoint
    }
}
