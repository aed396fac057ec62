import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceLifecycle
import Synchronization

/// An answer that goes on: server-sent events (WHATWG HTML §9.2), with a comment now and then that keeps the connection.
///
/// It ends when the events end, when the caller hangs up, when the server stops, and when the caller does not read: one who
/// falls too far behind is ended in good order, one who takes nothing at all loses the connection.
struct EventStream: Sendable {
    let request: Request
    let channel: any Channel
    let clock: any FederationClock

    /// The pause between two comments, and how long a caller may take nothing.
    static let keepAlive: Duration = .seconds(10)
    /// Events that wait for a caller who reads slowly.
    static let waiting = 1_024

    /// One event. JSON on one line needs no further escaping.
    static func text(_ name: String, _ data: JSONValue) -> ByteBuffer {
        ByteBuffer(bytes: Array("event: \(name)\ndata: ".utf8) + data.serialized() + [0x0A, 0x0A])
    }

    func response<Event: Sendable>(
        first: ByteBuffer, _ events: AsyncStream<Event>, _ text: @escaping @Sendable (Event) -> ByteBuffer
    ) -> Response {
        let body = ResponseBody { writer in
            let (parts, sink) = AsyncStream.makeStream(
                of: ByteBuffer.self, bufferingPolicy: .bufferingOldest(Self.waiting))
            sink.yield(first)
            let watch = WriteWatch()
            try await request.body.consumeWithInboundCloseHandler { _ in
                try await withGracefulShutdownHandler {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            for await event in events {
                                guard case .enqueued = sink.yield(text(event)) else { break }
                            }
                            sink.finish()
                        }
                        group.addTask { await keepAlive(sink, watch) }
                        for await part in parts {
                            watch.begin(at: clock.now().instant)
                            try await writer.write(part)
                            watch.end()
                        }
                        group.cancelAll()
                    }
                } onGracefulShutdown: {
                    sink.finish()
                }
            } onInboundClosed: {
                sink.finish()
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: Self.headers, body: body)
    }

    static let headers: HTTPFields = [.contentType: MediaType.events, .cacheControl: "no-store"]

    private static let comment = ByteBuffer(string: ":\n\n")

    private func keepAlive(_ sink: AsyncStream<ByteBuffer>.Continuation, _ watch: WriteWatch) async {
        while (try? await clock.sleep(until: clock.now().instant + Self.keepAlive)) != nil {
            if let since = watch.begun, clock.now().instant - since >= Self.keepAlive {
                // Ends the write that waits.
                channel.close(promise: nil)
                return
            }
            sink.yield(Self.comment)
        }
    }
}

/// Since when a write waits for the other end to read.
private final class WriteWatch: Sendable {
    private let since = Mutex<Instant?>(nil)

    var begun: Instant? { since.withLock { $0 } }

    func begin(at now: Instant) { since.withLock { $0 = now } }

    func end() { since.withLock { $0 = nil } }
}
