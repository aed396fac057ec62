import FederationModel
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// One HTTP/1.1 request on one connection to an address that was checked.
struct FetchExchange: Sendable {
    private let group: any EventLoopGroup
    /// nil in clear.
    private let context: NIOSSLContext?

    /// Asynchronous, so that nobody's actor waits while the roots are read.
    ///
    /// - Throws: `noRoots`, whatever is at the address, or none.
    init(with origin: Endpoint, group: any EventLoopGroup, tls: PeerTLS) async throws(FetchFailure) {
        self.group = group
        guard origin.isSecure else {
            context = nil
            return
        }
        do throws(PeerTLS.Unusable) {
            context = try tls.context()
        } catch {
            throw .noRoots(connectionFailureText(error))
        }
    }

    /// Tries the addresses in turn; whoever takes the connection gets the request.
    func run(
        _ request: FetchRequest, at addresses: [NetworkAddress], by deadline: NIODeadline
    ) async throws(FetchFailure) -> FetchedDocument {
        var failure = FetchFailure.unreachable("no address")
        for (index, address) in addresses.enumerated() {
            let left = deadline - .now()
            guard left > .zero else { throw .timedOut }
            let channel: any Channel
            let answer: EventLoopFuture<FetchedDocument>
            do {
                (channel, answer) = try await connect(
                    request, to: address, by: deadline,
                    within: .nanoseconds(left.nanoseconds / Int64(addresses.count - index)))
            } catch {
                failure = NIODeadline.now() >= deadline ? .timedOut : FetchFailure(connection: error)
                continue
            }
            defer { channel.close(promise: nil) }
            do {
                return try await answer.get()
            } catch let failure as FetchFailure {
                throw failure
            } catch {
                throw FetchFailure(connection: error)
            }
        }
        throw failure
    }

    private func connect(
        _ request: FetchRequest, to address: NetworkAddress, by deadline: NIODeadline, within limit: TimeAmount
    ) async throws -> (any Channel, EventLoopFuture<FetchedDocument>) {
        let socket = try SocketAddress(ipAddress: "\(address)", port: Int(request.origin.port))
        return try await ClientBootstrap(group: group)
            .connectTimeout(limit)
            .connect(to: socket) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        // SNI and the certificate are the name's, whichever address was dialled.
                        let host = request.origin.host
                        let name = host.address == nil ? host.name : nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: context, serverHostname: name))
                    }
                    let answer = channel.eventLoop.makePromise(of: FetchedDocument.self)
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(
                        FetchHandler(request, at: address, answer: answer, deadline: deadline))
                    return (channel, answer.futureResult)
                }
            }
    }
}

/// Sends the request and collects the answer, within its bounds.
private final class FetchHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let request: FetchRequest
    private let address: NetworkAddress
    private let answer: EventLoopPromise<FetchedDocument>
    private let deadline: NIODeadline
    private var timer: Scheduled<Void>?
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []
    private var isSent = false
    private var isOver = false

    init(
        _ request: FetchRequest, at address: NetworkAddress, answer: EventLoopPromise<FetchedDocument>,
        deadline: NIODeadline
    ) {
        self.request = request
        self.address = address
        self.answer = answer
        self.deadline = deadline
    }

    func handlerAdded(context: ChannelHandlerContext) {
        // Until the whole answer is in: a server that sends a byte now and then is as slow as one that sends none.
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.end(.failure(.timedOut), context)
        }
        if context.channel.isActive { send(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        send(context)
    }

    private func send(_ context: ChannelHandlerContext) {
        guard !isSent else { return }
        isSent = true
        var head = HTTPRequestHead(
            version: .http1_1, method: .RAW(value: request.method.rawValue), uri: request.path)
        head.headers.add(name: "Host", value: request.origin.authority)
        head.headers.add(name: "Accept", value: request.accept)
        head.headers.add(name: "User-Agent", value: "aether-federation")
        head.headers.add(name: "Connection", value: "close")
        if request.method != .get || !request.body.isEmpty {
            head.headers.add(name: "Content-Length", value: "\(request.body.count)")
            if let type = request.contentType { head.headers.add(name: "Content-Type", value: type) }
        }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !request.body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: request.body)))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            let announced = head.headers.first(name: "Content-Length").flatMap { Int($0) } ?? 0
            guard announced <= request.maximumBytes else { return tooMuch(context) }
            self.head = head
        case .body(let buffer):
            guard body.count + buffer.readableBytes <= request.maximumBytes else { return tooMuch(context) }
            body += buffer.readableBytesView
        case .end:
            guard let head else { return end(.failure(.unreachable("an answer without a head")), context) }
            let fields = Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first }
            end(
                .success(
                    FetchedDocument(
                        status: Int(head.status.code), body: body, headers: fields, origin: request.origin,
                        address: address)), context)
        }
    }

    private func tooMuch(_ context: ChannelHandlerContext) {
        end(.failure(.oversized(request.maximumBytes)), context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(.failure(FetchFailure(connection: error)), context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(.failure(.unreachable("the connection ended before the answer did")), context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(.failure(.unreachable("the connection ended before the answer did")), context)
    }

    private func end(_ result: Result<FetchedDocument, FetchFailure>, _ context: ChannelHandlerContext) {
        guard !isOver else { return }
        isOver = true
        timer?.cancel()
        switch result {
        case .success(let document): answer.succeed(document)
        case .failure(let failure): answer.fail(failure)
        }
        context.close(promise: nil)
    }
}

extension Endpoint {
    /// The `Host` header (RFC 9110 §7.2): the port of the scheme is left out, as servers expect.
    fileprivate var authority: String {
        port == (isSecure ? 443 : 80) ? "\(host)" : "\(host):\(port)"
    }
}
