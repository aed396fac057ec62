import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import FederationWebSocket
import FederationWire
import MetricsTestKit
import NIOCore
import NIOPosix
import Synchronization
import TestKit
import Testing

@testable import FederationTransport

@Suite(.timeLimit(.minutes(5 * patience))) struct DriverTests {
    private static func chunk(_ bytes: Int) -> FederationFrame {
        .assetResponse(.init(request: 1, answer: .chunk(Array(repeating: 3, count: bytes))))
    }

    private static func offer(_ bytes: Int) -> FederationFrame {
        .offer(
            .init(
                handoff: HandoffID(high: 1, low: 2), token: "a.b.c", snapshot: Array(repeating: 7, count: bytes)))
    }

    /// Frames that wait, and how many of them the host gets with each call.
    struct Waiting: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let frames: [FederationFrame]
        let groups: [Int]

        init(_ testDescription: String, _ frames: [FederationFrame], _ groups: [Int]) {
            self.testDescription = testDescription
            self.frames = frames
            self.groups = groups
        }
    }

    static let waiting = [
        Waiting("frames that bring nothing", (1...40).map { heartbeat($0) }, [16, 16, 8]),
        Waiting("the largest chunks", Array(repeating: chunk(1 << 16), count: 20), [16, 4]),
        Waiting("the largest snapshots", Array(repeating: offer(1 << 20), count: 3), [1, 1, 1]),
        Waiting("snapshots of half that", Array(repeating: offer(1 << 19), count: 5), [2, 2, 1]),
        Waiting(
            "chunks behind a snapshot that leaves room for one",
            [offer((1 << 20) - (1 << 16)), chunk(1 << 16), chunk(1 << 16)], [2, 1]),
        Waiting(
            "frames that bring nothing behind the largest snapshot", [offer(1 << 20), heartbeat(1), heartbeat(2)], [3]),
    ]

    /// Would fail if large frames stayed in memory together: if the driver asked its inbox without the bound, or if a
    /// snapshot or a chunk counted for nothing.
    @Test("what waits is handed over together, up to 16 frames and a mebibyte that they bring", arguments: waiting)
    func together(_ waiting: Waiting) async throws {
        let host = GatheringHost()
        let inbox = Inbox<PeerInput>(high: Limits.inboundFrames) {}
        for frame in waiting.frames { _ = inbox.offer(.frame(frame)) }
        inbox.finish()
        let driver = try await Self.driver(of: inbox, for: host)
        _ = await driver.run()
        #expect(host.groups.map(\.count) == waiting.groups)
        let isWhole = host.groups.flatMap(\.self) == waiting.frames
        #expect(isWhole, "a frame is missing or out of order")
    }

    @Test(
        "of what comes in, the bytes of an asset and of a snapshot count",
        arguments: [
            (PeerInput.frame(chunk(5)), 5), (.frame(chunk(0)), 0), (.frame(offer(7)), 7), (.frame(heartbeat(1)), 0),
            (.frame(.assetResponse(.init(request: 1, answer: .refused("asset.unknown")))), 0),
            (.frame(.notice(.card("a.b.c"))), 0), (.handshake([1, 2, 3]), 0),
        ])
    func payload(_ input: PeerInput, _ bytes: Int) {
        #expect(input.payloadBytes == bytes)
    }

    /// A driver of a channel that has no socket below it.
    private static func driver(
        of inbox: Inbox<PeerInput>, for host: any PeerChannelHost
    ) async throws -> PeerChannelDriver {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        return try await loop.submit {
            let (outbox, metrics) = (PeerOutbox(), TransportMetrics(factory: TestMetrics()))
            let handler = PeerChannelHandler(
                WebSocketHandler(WebSocketConfiguration(role: .server)), inbox: inbox, outbox: outbox,
                clock: SystemClock(), metrics: metrics, handshakeTimeout: .seconds(30), handshakeEnded: {},
                ended: { _ in })
            return PeerChannelDriver(
                host: host, socket: PeerSocket(handler, outbox: outbox, on: loop, metrics: metrics), inbox: inbox,
                end: PeerChannelEndBox(), direction: .incoming, peer: nil, remote: "test")
        }.get()
    }
}

/// A host that takes every channel, and keeps what it gets as it gets it.
private final class GatheringHost: PeerChannelHost {
    private let received = Mutex<[[FederationFrame]]>([])

    /// The frames of each call.
    var groups: [[FederationFrame]] { received.withLock(\.self) }

    func openChannel(
        _ direction: ChannelDirection, peer: ServerID?, remote: String, sink: any PeerChannel
    ) async throws(ChannelFailure) -> OpenedChannel {
        OpenedChannel(id: ChannelID(1), hello: [])
    }

    func receiveHandshake(_ message: [UInt8], on id: ChannelID) async -> FederationNode.ChannelStep {
        .close(.protocolError)
    }

    func takeRecords(for id: ChannelID) async -> sending RecordLayer? { nil }

    func receive(_ frame: FederationFrame, on id: ChannelID) async {
        received.withLock { $0.append([frame]) }
    }

    func receive(_ frames: [FederationFrame], on id: ChannelID) async {
        received.withLock { $0.append(frames) }
    }

    func channelClosed(_ id: ChannelID) async {}
}
