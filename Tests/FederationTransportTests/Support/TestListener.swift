import FederationModel
import FederationTransport
import FederationWebSocket
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Testing

/// A port of its own on which `/federation` belongs to a transport.
struct TestListener {
    let channel: any Channel
    let host: String

    var port: Int { channel.localAddress?.port ?? 0 }

    func endpoint(secure: Bool = false) throws -> Endpoint {
        try #require(Endpoint("\(secure ? "wss" : "ws")://\(host):\(port)"))
    }

    static func start(
        _ transport: WebSocketPeerTransport, host: String = "127.0.0.1", port: Int = 0, tls: NIOSSLContext? = nil
    ) async throws -> TestListener {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try configure(channel, transport)
                }
            }
            .bind(host: host, port: port).get()
        return TestListener(channel: channel, host: host)
    }

    func stop() async throws {
        try await channel.close().get()
    }

    private static func configure(_ channel: any Channel, _ transport: WebSocketPeerTransport) throws {
        let upgrader = WebSocketServerUpgrader<Void>(
            accept: { head in
                head.uri == PeerRoute.path ? ["Sec-WebSocket-Protocol": PeerRoute.subprotocol] : nil
            },
            upgraded: { channel, head in transport.accept(channel, head: head) })
        _ = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
            configuration: .init(
                upgradeConfiguration: .init(
                    upgraders: [upgrader],
                    notUpgradingCompletionHandler: { channel in channel.close() })))
    }
}

/// A WebSocket to a listener that speaks no federation: for a peer that misbehaves.
func rawClient(_ port: Int) async throws -> WebSocketConnection {
    try await WebSocketDialer(group: MultiThreadedEventLoopGroup.singleton)
        .connect(
            to: .init(host: "127.0.0.1", port: port, path: PeerRoute.path, subprotocol: PeerRoute.subprotocol)
        ) { WebSocketConnection.attach(to: $0, .init(role: .client)) }
}
