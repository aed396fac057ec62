import FederationCrypto
import FederationModel
import FederationService
import FederationTransport
import FederationWebSocket
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// A connection, its upgrade and a whole handshake through a socket, both sides, against the same with mutual TLS 1.3: one
/// after another, and many at once.
struct SocketHandshakePart {
    static let name = HandshakePart.name
    private static let handshakes = 128
    /// How many are under way at one time.
    private static let crowds = [1, 32]

    func run(_ table: inout ResultTable) async throws {
        let loops = Loops()
        for (suite, curve, exchange) in [
            (CipherSuite.classicalAES256GCM, NIOTLSCurve.x25519, "X25519"),
            (.hybridAES256GCM, .x25519_MLKEM768, "X25519MLKEM768"),
        ] {
            let ours = try await Peers(suite, loops, callers: Self.crowds.max() ?? 1)
            let usual = try await Sockets(try TLSMaterial(.p256, isMutual: true, curve: curve), loops)
            let same = try await Sockets(try TLSMaterial(.ed25519, isMutual: true, curve: curve), loops)
            let clear = try await Sockets(nil, loops)
            let kind = suite.isHybrid ? "hybrid" : "classical"
            for crowd in Self.crowds {
                let contest = try await Contest(
                    operations: Self.handshakes,
                    [
                        .init("ours") { try await ours.connect(Self.handshakes, crowd) },
                        .init("mutual TLS, \(exchange), P-256") { try await usual.connect(Self.handshakes, crowd) },
                        .init("mutual TLS, \(exchange), Ed25519") { try await same.connect(Self.handshakes, crowd) },
                        .init("nothing but the upgrade") { try await clear.connect(Self.handshakes, crowd) },
                    ])
                let what = crowd == 1 ? "sockets, \(kind)" : "sockets, \(crowd) at once, \(kind)"
                add(contest, what, to: &table)
            }
            try await ours.close()
            for sockets in [usual, same, clear] { try await sockets.close() }
        }
    }

    private func add(_ contest: Contest, _ what: String, to table: inout ResultTable) {
        for contender in contest.names.indices.dropFirst() {
            let name = "\(what), \(contest.names[contender])"
            table.add(
                Row(
                    Self.name, name, cost: contest, to: contender, by: \.processor, unit: "µs", nanoseconds: 1_000,
                    atMost: contender == 1 ? 1 : nil))
            table.add(
                Row(
                    Self.name, "\(name), wall", cost: contest, to: contender, by: \.wall, unit: "µs",
                    nanoseconds: 1_000))
        }
    }

    /// Ours alone, so many at once, for ten seconds.
    static func profile(_ crowd: Int) async throws {
        let ours = try await Peers(.classicalAES256GCM, Loops(), callers: crowd)
        let end = ContinuousClock.now + .seconds(10)
        var count = 0
        while ContinuousClock.now < end {
            try await ours.connect(crowd * 8, crowd)
            count += crowd * 8
        }
        print("\(count) handshakes, \(Int(CPUTime.now / Double(count) / 1_000)) µs of processor time each")
        try await ours.close()
    }

    /// Carries out `body` so many times, `crowd` of them at one time.
    fileprivate static func share(
        _ count: Int, _ crowd: Int, _ body: @escaping @Sendable (_ caller: Int) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<crowd {
                group.addTask { for _ in 0..<(count / crowd) { try await body(caller) } }
            }
            try await group.waitForAll()
        }
    }

    /// Servers that dial another one and hang up again as soon as they are connected.
    private final class Peers {
        /// One of those that dial, which has one connection at a time.
        private final class Caller: Sendable {
            let host: PeerHost
            let transport: WebSocketPeerTransport
            private let count = Mutex(0)

            init(_ number: Int, _ suite: CipherSuite, _ loops: Loops) throws {
                host = try PeerHost("near-\(number)", suites: [suite])
                transport = try WebSocketPeerTransport(host: host, group: loops.near)
            }

            func connect(to peer: ServerID, at endpoint: Endpoint) async {
                let count = count.withLock { count in
                    count += 1
                    return count
                }
                await transport.dial(peer, at: [endpoint])
                await host.established.reach(count)
                await transport.hangUp(peer)
                host.sink?.close(.goingAway)
                await host.closed.reach(count)
            }
        }

        private let callers: [Caller]
        private let far: PeerHost
        private let accepting: WebSocketPeerTransport
        private let listener: any Channel
        private let endpoint: Endpoint
        private var count = 0

        init(_ suite: CipherSuite, _ loops: Loops, callers: Int) async throws {
            self.callers = try (0..<callers).map { try Caller($0, suite, loops) }
            far = try PeerHost("far", suites: [suite])
            accepting = try WebSocketPeerTransport(host: far, group: loops.far)
            listener = try await Listener.start(accepting, on: loops.far)
            endpoint = try Listener.endpoint(listener)
        }

        func connect(_ count: Int, _ crowd: Int) async throws {
            self.count += count
            try await SocketHandshakePart.share(count, crowd) { [callers, far, endpoint] number in
                await callers[number].connect(to: far.identity.id, at: endpoint)
            }
            await far.established.reach(self.count)
            await far.closed.reach(self.count)
        }

        func close() async throws {
            for caller in callers { await caller.transport.shutdown() }
            await accepting.shutdown()
            try await listener.close().get()
        }
    }

    /// The same with this project's WebSocket over TLS, or over nothing: whoever connected says goodbye as soon as the
    /// upgrade is done.
    private final class Sockets {
        private let listener: any Channel
        private let dialer: WebSocketDialer
        private let target: WebSocketDialer.Target
        private let closed = Arrivals()
        private var count = 0

        init(_ tls: TLSMaterial?, _ loops: Loops) async throws {
            let closed = closed
            listener = try await Listener.start(on: loops.far) { channel in
                if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.server)) }
            } upgraded: { channel, _ in
                channel.closeFuture.whenComplete { _ in closed.add() }
                return channel.eventLoop.submit {
                    try channel.pipeline.syncOperations.addHandler(WebSocketHandler(.init(role: .server)))
                }
            }
            dialer = WebSocketDialer(group: loops.near, secure: tls?.secure)
            target = WebSocketDialer.Target(
                host: "127.0.0.1", port: listener.localAddress?.port ?? 0, path: PeerRoute.path,
                subprotocol: PeerRoute.subprotocol)
        }

        func connect(_ count: Int, _ crowd: Int) async throws {
            self.count += count
            try await SocketHandshakePart.share(count, crowd) { [dialer, target] _ in
                let channel = try await dialer.connect(to: target) { channel in
                    channel.eventLoop.submit {
                        try channel.pipeline.syncOperations.addHandler(WebSocketHandler(.init(role: .client)))
                        return channel
                    }
                }
                channel.triggerUserOutboundEvent(WebSocketCloseRequest(code: 1001), promise: nil)
                try await channel.closeFuture.get()
            }
            await closed.reach(self.count)
        }

        func close() async throws {
            try await listener.close().get()
        }
    }
}
