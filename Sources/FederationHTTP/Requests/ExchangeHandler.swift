import HTTPTypes
import NIOCore
import NIOHTTP1

/// Stands between NIO's decoder and Hummingbird on an HTTP connection and does what neither of them does.
///
/// It answers `Expect: 100-continue` (RFC 9110 §10.1.1), for which clients such as curl wait a second before they upload,
/// and it answers what does not parse with problem details. Both only while no response is owed: anything else would stand
/// in the middle of another response. An error within a request's body belongs to whoever reads that body.
final class ExchangeHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Requests whose responses are not complete.
    private var owed = 0
    /// Between a request's head and its end.
    private var isInRequest = false
    /// What did not parse behind requests that are still being answered.
    private var waiting: HTTPParserError?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            isInRequest = true
            let expects = head.headers[canonicalForm: "expect"].contains { $0.lowercased() == "100-continue" }
            if expects, owed == 0, head.version == .http1_1 {
                let interim = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(interim)), promise: nil)
            }
            owed += 1
        case .body:
            break
        case .end:
            isInRequest = false
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        context.write(data, promise: promise)
        guard case .end = unwrapOutboundIn(data) else { return }
        owed -= 1
        if owed == 0, let error = waiting { refuse(error, context) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError, !isInRequest else {
            context.fireErrorCaught(error)
            return
        }
        if owed == 0 {
            refuse(error, context)
        } else {
            waiting = error
        }
    }

    private func refuse(_ error: HTTPParserError, _ context: ChannelHandlerContext) {
        waiting = nil
        let problem = Problem(unreadable: error)
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: problem.status.code),
            headers: [
                "Content-Type": MediaType.problem, "Content-Length": "\(problem.body.count)", "Connection": "close",
                "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
            ])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: problem.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
            context.close(promise: nil)
        }
    }
}

@available(*, unavailable)
extension ExchangeHandler: Sendable {}
