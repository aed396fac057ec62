public import NIOCore
import NIOHTTP1
import NIOPosix

/// Opens WebSockets: TCP, whatever `secure` puts on it, and the upgrade, each with a time limit.
public struct WebSocketDialer: Sendable {
    /// Where to and as what.
    public struct Target: Hashable, Sendable {
        /// A DNS name or an address without brackets.
        public let host: String
        public let port: Int
        public let path: String
        /// Asked for, and required in the answer.
        public let subprotocol: String?

        public init(host: String, port: Int, path: String, subprotocol: String? = nil) {
            self.host = host
            self.port = port
            self.path = path
            self.subprotocol = subprotocol
        }

        /// The `Host` header (RFC 9110 §7.2).
        var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// Why no WebSocket came about, in one line for a person.
    public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
        /// No connection, or it broke: name resolution, refusal, TLS.
        case unreachable(String)
        /// The upgrade took longer than its limit.
        case timedOut
        /// An HTTP answer that is not 101.
        case refused(status: Int)
        /// A 101 with the wrong key, subprotocol or extensions.
        case notOurProtocol

        public var description: String {
            switch self {
            case .unreachable(let reason): "no connection: \(reason)"
            case .timedOut: "no answer in time"
            case .refused(let status): "answered \(status) instead of a WebSocket"
            case .notOurProtocol: "answered with another protocol"
            }
        }
    }

    private let group: any EventLoopGroup
    private let connectTimeout: TimeAmount
    private let upgradeTimeout: TimeAmount
    private let secure: (@Sendable (any Channel) throws -> Void)?

    /// - Parameters:
    ///   - connectTimeout: For the TCP connection.
    ///   - upgradeTimeout: From the connection to the end of the upgrade, TLS included.
    ///   - secure: Adds a TLS handler to a fresh channel; called on its event loop.
    public init(
        group: any EventLoopGroup, connectTimeout: TimeAmount = .seconds(10), upgradeTimeout: TimeAmount = .seconds(10),
        secure: (@Sendable (any Channel) throws -> Void)? = nil
    ) {
        self.group = group
        self.connectTimeout = connectTimeout
        self.upgradeTimeout = upgradeTimeout
        self.secure = secure
    }

    /// Connects and upgrades.
    ///
    /// - Parameters:
    ///   - addresses: What the target's name was resolved to and checked; they are tried in turn, and the name is not looked
    ///     up again. nil leaves it to the system.
    ///   - upgraded: Adds the handlers of the WebSocket, on the event loop; bytes that came early wait for it.
    /// - Throws: ``Failure``; the connection is closed then.
    public func connect<Output: Sendable>(
        to target: Target, at addresses: [SocketAddress]? = nil,
        upgraded: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws(Failure) -> Output {
        let negotiation = try await connected(to: target, at: addresses, upgraded)
        do {
            return try await negotiation.get()
        } catch let failure as Failure {
            throw failure
        } catch {
            throw .unreachable(Self.reason(error))
        }
    }

    private func connected<Output: Sendable>(
        to target: Target, at addresses: [SocketAddress]?,
        _ upgraded: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws(Failure) -> EventLoopFuture<Output> {
        let bootstrap = ClientBootstrap(group: group)
            .connectTimeout(connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
        let prepared: @Sendable (any Channel) -> EventLoopFuture<EventLoopFuture<Output>> = { channel in
            channel.eventLoop.makeCompletedFuture { try prepare(channel, target, upgraded) }
        }
        do {
            guard let addresses else {
                return try await bootstrap.connect(
                    host: target.host, port: target.port, channelInitializer: prepared)
            }
            for address in addresses.dropLast() {
                if let negotiation = try? await bootstrap.connect(to: address, channelInitializer: prepared) {
                    return negotiation
                }
            }
            guard let last = addresses.last else { throw Failure.unreachable("\(target.host) has no address") }
            return try await bootstrap.connect(to: last, channelInitializer: prepared)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw .unreachable(Self.reason(error))
        }
    }

    /// Builds the pipeline of a fresh channel; what comes back is done when the upgrade is, and fails with ``Failure``.
    private func prepare<Output: Sendable>(
        _ channel: any Channel, _ target: Target,
        _ upgraded: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) throws -> EventLoopFuture<Output> {
        try secure?(channel)
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target.path)
        head.headers.add(name: "Host", value: target.authority)
        head.headers.add(name: "Content-Length", value: "0")
        let encoder = HTTPRequestEncoder()
        // The peer may speak first: what follows its 101 belongs to the WebSocket and must not be dropped.
        let decoder = ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes))
        let watch = UpgradeWatch(timeout: upgradeTimeout)
        let watched = NIOLoopBound(watch, eventLoop: channel.eventLoop)
        let upgrader = NIOTypedHTTPClientUpgradeHandler(
            httpHandlers: [encoder, decoder, watch],
            upgradeConfiguration: NIOTypedHTTPClientUpgradeConfiguration(
                upgradeRequestHead: head,
                upgraders: [WebSocketClientUpgrader(subprotocol: target.subprotocol, upgraded: upgraded)],
                notUpgradingCompletionHandler: { channel in
                    channel.eventLoop.makeFailedFuture(watched.value.failure ?? Failure.notOurProtocol)
                }))
        try channel.pipeline.syncOperations.addHandlers([encoder, decoder, watch, upgrader])
        return upgrader.upgradeResultFuture.flatMapErrorThrowing { error in
            channel.close(promise: nil)
            let failure = error is NIOHTTPClientUpgradeError ? Failure.notOurProtocol : error as? Failure
            throw watched.value.failure ?? failure ?? Failure.unreachable(Self.reason(error))
        }
    }

    /// One line for a person.
    private static func reason(_ error: any Error) -> String {
        let text =
            switch error {
            case let error as NIOConnectionError:
                error.connectionErrors.first.map { String(describing: $0.error) } ?? "\(error.host) has no address"
            case let error as ChannelError:
                "the connection ended (\(error))"
            default:
                String(describing: error)
            }
        return String(text.split(whereSeparator: \.isNewline).joined(separator: " ").prefix(200))
    }
}

/// Notes what the answer to an upgrade was, and ends the wait for it.
private final class UpgradeWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = HTTPClientResponsePart

    private let timeout: TimeAmount
    private var timer: Scheduled<Void>?
    private var isSwitching = false
    private(set) var failure: WebSocketDialer.Failure?

    init(timeout: TimeAmount) {
        self.timeout = timeout
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Behind the head of a 101 come bytes of the new protocol, which are not response parts.
        if !isSwitching, case .head(let head) = unwrapInboundIn(data) {
            if head.status == .switchingProtocols {
                isSwitching = true
            } else {
                failure = .refused(status: Int(head.status.code))
            }
        }
        context.fireChannelRead(data)
    }

    private func start(_ context: ChannelHandlerContext) {
        guard timer == nil else { return }
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            self.failure = .timedOut
            context.close(promise: nil)
        }
    }
}
