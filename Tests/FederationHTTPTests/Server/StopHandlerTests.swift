import NIOCore
import NIOEmbedded
import Testing

@testable import FederationHTTP

@Suite("An HTTP connection of a server that stops") struct StopHandlerTests {
    /// How often Hummingbird's handler is told.
    private final class Told: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var times = 0

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is ChannelShouldQuiesceEvent { times += 1 }
        }
    }

    /// Would fail if a connection were closed at once, never, or without a server that stops, if it got its time anew when it is
    /// told once more, or if nobody behind were told.
    @Test(
        "it has its time from the moment in which the server stops, and then it is closed",
        arguments: [([], nil), ([0], 5), ([2], 7), ([0, 3], 5)] as [([Int], Int?)])
    func time(toldAt: [Int], closedAt: Int?) throws {
        let told = Told()
        let channel = EmbeddedChannel(handlers: [StopHandler(timeout: ListenerLimits().stopTimeout), told])
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        for second in 0..<60 {
            if toldAt.contains(second) { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
            let isOpen = closedAt.map { second < $0 } ?? true
            #expect(channel.isActive == isOpen, "after \(second) s")
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(told.times == toldAt.count)
        _ = try channel.finish(acceptAlreadyClosed: true)
    }
}
