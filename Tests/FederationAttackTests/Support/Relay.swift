import FederationModel
import FederationTransport
import FederationWebSocket
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

/// Somebody in between: takes the dials that are meant for a server, dials that server, and passes messages on as it
/// likes. It sees what anyone on the path sees and has no keys.
final class Relay: Sendable {
    /// Where a message goes: `up` from the dialler to the listener.
    enum Direction: Hashable, Sendable {
        case up
        case down

        var opposite: Direction { self == .up ? .down : .up }
    }

    /// A message as it passes.
    struct Message: Sendable {
        /// From 1.
        let connection: Int
        let direction: Direction
        /// Among those of its direction, from 0: Hello, Signature, Ready, then records.
        let index: Int
        let bytes: [UInt8]
    }

    struct Delivery: Sendable {
        let direction: Direction
        let bytes: [UInt8]
    }

    /// What becomes of a message.
    typealias Meddling = @Sendable (Message) async -> [Delivery]

    /// Passes everything on.
    static let honest: Meddling = { [Delivery(direction: $0.direction, bytes: $0.bytes)] }

    private struct State {
        var target: Int
        var connections = 0
        /// Connections up to this one are frozen.
        var frozen = 0
        /// What a machine that was started again does with connections that it does not know.
        var resets = false
        var sockets: [any Channel] = []
    }

    private let state: Mutex<State>
    private let meddling: Meddling
    private let mostConnections: Int
    private let listener: Mutex<(any Channel)?>

    /// - Parameter connections: how many are taken; further ones are cut at once.
    static func start(
        to port: Int, connections: Int = 1, _ meddling: @escaping Meddling = Relay.honest
    ) async throws -> Relay {
        let relay = Relay(port, connections, meddling)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try relay.configure(channel) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        relay.listener.withLock { $0 = channel }
        return relay
    }

    private init(_ target: Int, _ connections: Int, _ meddling: @escaping Meddling) {
        state = Mutex(State(target: target))
        mostConnections = connections
        self.meddling = meddling
        listener = Mutex(nil)
    }

    var port: Int { listener.withLock { $0?.localAddress?.port ?? 0 } }

    /// Connections that were taken or cut.
    var connections: Int { state.withLock { $0.connections } }

    /// From now on nothing passes on the connections that there are, and both ends believe that all is well.
    func freeze() {
        state.withLock { $0.frozen = $0.connections }
    }

    /// Where new connections lead from now on; frozen ones are cut when something comes on them.
    func restart(to port: Int) {
        state.withLock { state in
            state.target = port
            state.resets = true
        }
    }

    /// Cuts everything and takes nothing more.
    func stop() async throws {
        let sockets = state.withLock { state in
            defer { state.sockets = [] }
            return state.sockets
        }
        for socket in sockets { socket.close(promise: nil) }
        try await listener.withLock { $0 }?.close().get()
    }

    private func configure(_ channel: any Channel) throws {
        let (number, target) = state.withLock { state in
            state.connections += 1
            return (state.connections, state.target)
        }
        guard number <= mostConnections else {
            channel.eventLoop.execute { channel.close(promise: nil) }
            return
        }
        let upgrader = WebSocketServerUpgrader<Void>(
            accept: { _ in ["Sec-WebSocket-Protocol": PeerRoute.subprotocol] },
            upgraded: { [self] channel, _ in
                WebSocketConnection.attach(to: channel, .init(role: .server, maximumMessageBytes: 2 << 20)).map {
                    near in
                    Task { try await self.pass(number, near, channel, target) }
                }
            })
        _ = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
            configuration: .init(
                upgradeConfiguration: .init(
                    upgraders: [upgrader], notUpgradingCompletionHandler: { channel in channel.close() })))
    }

    private func pass(_ number: Int, _ near: WebSocketConnection, _ nearChannel: any Channel, _ target: Int)
        async throws
    {
        let far: WebSocketConnection
        do {
            // It is never the relay that gives up: how long a dial may take is for those at its two ends to say.
            far = try await WebSocketDialer(
                group: MultiThreadedEventLoopGroup.singleton, connectTimeout: .hours(1), upgradeTimeout: .hours(1)
            ).connect(
                to: .init(host: "127.0.0.1", port: target, path: PeerRoute.path, subprotocol: PeerRoute.subprotocol)
            ) { [self] channel in
                state.withLock { $0.sockets += [nearChannel, channel] }
                return WebSocketConnection.attach(to: channel, .init(role: .client, maximumMessageBytes: 2 << 20))
            }
        } catch {
            nearChannel.close(promise: nil)
            return
        }
        async let up: Void = pump(number, .up, from: near, [.up: far, .down: near], nearChannel)
        async let down: Void = pump(number, .down, from: far, [.up: far, .down: near], nearChannel)
        _ = await (up, down)
    }

    private func pump(
        _ number: Int, _ direction: Direction, from source: WebSocketConnection,
        _ ends: [Direction: WebSocketConnection], _ nearChannel: any Channel
    ) async {
        var index = 0
        for await message in source.messages {
            guard case .binary(let buffer) = message else { continue }
            let (isFrozen, resets) = state.withLock { (number <= $0.frozen, $0.resets) }
            if isFrozen {
                if resets { nearChannel.close(promise: nil) }
                continue
            }
            let seen = Message(
                connection: number, direction: direction, index: index, bytes: Array(buffer.readableBytesView))
            index += 1
            for delivery in await meddling(seen) {
                try? await ends[delivery.direction]?.send(.binary(ByteBuffer(bytes: delivery.bytes)))
            }
        }
        guard !state.withLock({ number <= $0.frozen }) else { return }
        // The end of one side is the end of the other, for the same reason.
        let code = source.closure?.code ?? 1006
        await ends[direction]?.close(code: code == 1005 || code == 1006 ? 1000 : code)
    }
}
