import FederationCrypto
import FederationModel
import FederationService
import FederationTransport
import FederationWebSocket
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// A connection, its upgrade and a whole handshake through a socket, both sides, against the same with mutual TLS 1.3.
struct SocketHandshakePart {
    static let name = HandshakePart.name
    private static let handshakes = 100

    func run(_ table: inout ResultTable) async throws {
        let loops = Loops()
        for (suite, curve, exchange) in [
            (CipherSuite.classicalAES256GCM, NIOTLSCurve.x25519, "X25519"),
            (.hybridAES256GCM, .x25519_MLKEM768, "X25519MLKEM768"),
        ] {
            let ours = try await Peers(suite, loops)
            let usual = try await Sockets(try TLSMaterial(.p256, isMutual: true, curve: curve), loops)
            let same = try await Sockets(try TLSMaterial(.ed25519, isMutual: true, curve: curve), loops)
            let clear = try await Sockets(nil, loops)
            let contest = try await Contest(
                operations: Self.handshakes,
                [
                    .init("ours") { for _ in 0..<Self.handshakes { await ours.connect() } },
                    .init("mutual TLS, \(exchange), P-256") {
                        for _ in 0..<Self.handshakes { try await usual.connect() }
                    },
                    .init("mutual TLS, \(exchange), Ed25519") {
                        for _ in 0..<Self.handshakes { try await same.connect() }
                    },
                    .init("nothing but the upgrade") { for _ in 0..<Self.handshakes { try await clear.connect() } },
                ])
            let kind = suite.isHybrid ? "hybrid" : "classical"
            for contender in contest.names.indices.dropFirst() {
                let what = "sockets, \(kind), \(contest.names[contender])"
                table.add(
                    Row(
                        Self.name, what, cost: contest, to: contender, by: \.processor, unit: "µs", nanoseconds: 1_000,
                        atMost: contender == 1 ? 1 : nil))
                table.add(
                    Row(
                        Self.name, "\(what), wall", cost: contest, to: contender, by: \.wall, unit: "µs",
                        nanoseconds: 1_000))
            }
            try await ours.close()
            for sockets in [usual, same, clear] { try await sockets.close() }
        }
    }

    /// Two servers of which one dials the other and hangs up again.
    private final class Peers {
        private let near: PeerHost
        private let far: PeerHost
        private let dialling: WebSocketPeerTransport
        private let accepting: WebSocketPeerTransport
        private let listener: any Channel
        private let endpoint: Endpoint
        private var count = 0

        init(_ suite: CipherSuite, _ loops: Loops) async throws {
            near = try PeerHost("near", suites: [suite])
            far = try PeerHost("far", suites: [suite])
            dialling = try WebSocketPeerTransport(host: near, group: loops.near)
            accepting = try WebSocketPeerTransport(host: far, group: loops.far)
            listener = try await Listener.start(accepting, on: loops.far)
            endpoint = try Listener.endpoint(listener)
        }

        func connect() async {
            count += 1
            await dialling.dial(far.identity.id, at: [endpoint])
            await near.established.reach(count)
            await far.established.reach(count)
            await dialling.hangUp(far.identity.id)
            near.sink?.close(.goingAway)
            await near.closed.reach(count)
            await far.closed.reach(count)
        }

        func close() async throws {
            await dialling.shutdown()
            await accepting.shutdown()
            try await listener.close().get()
        }
    }

    /// The same with this project's WebSocket over TLS, or over nothing: whoever connected says goodbye as soon as both
    /// sides are open.
    private final class Sockets {
        private let listener: any Channel
        private let dialer: WebSocketDialer
        private let target: WebSocketDialer.Target
        private let opened = Arrivals()
        private let closed = Arrivals()
        private var count = 0

        init(_ tls: TLSMaterial?, _ loops: Loops) async throws {
            let opened = opened
            let closed = closed
            listener = try await Listener.start(on: loops.far) { channel in
                if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.server)) }
            } upgraded: { channel, _ in
                channel.closeFuture.whenComplete { _ in closed.add() }
                return channel.eventLoop.submit {
                    try channel.pipeline.syncOperations.addHandler(WebSocketHandler(.init(role: .server)))
                    opened.add()
                }
            }
            dialer = WebSocketDialer(group: loops.near, secure: tls?.secure)
            target = WebSocketDialer.Target(
                host: "127.0.0.1", port: listener.localAddress?.port ?? 0, path: PeerRoute.path,
                subprotocol: PeerRoute.subprotocol)
        }

        func connect() async throws {
            count += 1
            let channel = try await dialer.connect(to: target) { channel in
                channel.eventLoop.submit {
                    try channel.pipeline.syncOperations.addHandler(WebSocketHandler(.init(role: .client)))
                    return channel
                }
            }
            await opened.reach(count)
            channel.triggerUserOutboundEvent(WebSocketCloseRequest(code: 1001), promise: nil)
            try await channel.closeFuture.get()
            await closed.reach(count)
        }

        func close() async throws {
            try await listener.close().get()
        }
    }
}
