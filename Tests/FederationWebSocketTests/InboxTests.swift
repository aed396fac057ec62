import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import FederationWebSocket

@Suite struct InboxTests {
    @Test("it asks for a pause above its mark and lifts it at half")
    func marks() async {
        let resumed = Mutex(0)
        let inbox = Inbox<Int>(high: 4) { resumed.withLock { $0 += 1 } }
        #expect((0..<6).map { inbox.offer($0) } == [false, false, false, false, true, true])
        for expected in 0..<3 { #expect(await inbox.next() == expected) }
        #expect(resumed.withLock { $0 } == 0)
        for expected in 3..<6 { #expect(await inbox.next() == expected) }
        #expect(resumed.withLock { $0 } == 1)
        #expect(!inbox.offer(6))
    }

    /// Would fail if a reader that takes much at once let as much again be put before it has handled anything.
    @Test("what is taken together comes in order, and counts as waiting until the reader asks again")
    func together() async {
        let resumed = Mutex(0)
        let inbox = Inbox<Int>(high: 4) { resumed.withLock { $0 += 1 } }
        for number in 0..<4 { #expect(!inbox.offer(number)) }
        #expect(await inbox.next(atMost: 3) == [0, 1, 2])
        #expect([4, 5].map { inbox.offer($0) } == [false, true])
        #expect(await inbox.next(atMost: 1) == [3])
        #expect(resumed.withLock { $0 } == 1)
        #expect(await inbox.next(atMost: 9) == [4, 5])
        _ = inbox.offer(6)
        inbox.finish()
        #expect(await inbox.next(atMost: 9) == [6])
        #expect(await inbox.next(atMost: 9) == [])
    }

    /// Would fail if large messages stayed in memory together, or one beyond the bound were never handed out.
    @Test("what is handed out together is bounded in weight, unless one alone weighs more")
    func weight() async {
        let inbox = Inbox<Int>(high: 16) {}
        for weight in [3, 3, 4, 1, 12, 0, 10] { _ = inbox.offer(weight) }
        inbox.finish()
        var groups: [[Int]] = []
        while groups.last != [] { groups.append(await inbox.next(atMost: 4, weighing: { $0 }, upTo: 10)) }
        #expect(groups == [[3, 3, 4], [1], [12, 0], [10], []])
    }

    /// Would fail if a pause lasted for ever when all that waited was handed out together.
    @Test("a pause ends when the reader asks again and nothing is left")
    func pauseOverNothing() async {
        let resumed = Mutex(0)
        let inbox = Inbox<Int>(high: 2) { resumed.withLock { $0 += 1 } }
        #expect((0..<3).map { inbox.offer($0) } == [false, false, true])
        #expect(await inbox.next(atMost: 9) == [0, 1, 2])
        #expect(resumed.withLock { $0 } == 0)
        let reader = Task { await inbox.next(atMost: 9) }
        while !inbox.isAwaited { await Task.yield() }
        #expect(resumed.withLock { $0 } == 1)
        _ = inbox.offer(3)
        #expect(await reader.value == [3])
    }

    @Test("it ends after what was waiting, and takes nothing more")
    func end() async {
        let inbox = Inbox<Int>(high: 4) {}
        _ = inbox.offer(1)
        inbox.finish()
        _ = inbox.offer(2)
        #expect(await inbox.next() == 1)
        #expect(await inbox.next() == nil)
    }

    /// Would fail if a connection took more than it was made for, or lost what it holds back.
    @Test("a connection whose messages nobody reads takes so many and one more", arguments: [(1, 2), (4, 5), (64, 10)])
    func waiting(messages: Int, taken: Int) throws {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let attached = WebSocketConnection.attach(to: channel, .init(role: .client), waiting: messages)
        channel.embeddedEventLoop.run()
        let connection = try attached.wait()
        try channel.writeInbound(ByteBuffer(bytes: (0..<10).flatMap { [0x82, 1, UInt8($0)] }))
        #expect(connection.messages.count == taken)
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    @Test("a cancelled reader gets nothing and the next one gets everything")
    func cancellation() async {
        let inbox = Inbox<Int>(high: 4) {}
        let reader = Task { await inbox.next() }
        reader.cancel()
        #expect(await reader.value == nil)
        _ = inbox.offer(1)
        #expect(await inbox.next() == 1)
    }

    @Test("what is put wakes nobody until it is asked for, is enough for a burst, or is the end")
    func bursts() async {
        let inbox = Inbox<Int>(high: 100) {}
        let woken = Count()
        let reader = Task {
            for await _ in inbox { woken.value.withLock { $0 += 1 } }
        }
        /// Waits until the reader has had so many and waits again.
        func handled(_ count: Int) async {
            while woken.value.withLock({ $0 }) < count || !inbox.isAwaited { await Task.yield() }
        }
        await handled(0)
        for number in 1...31 { #expect(!inbox.put(number)) }
        #expect(inbox.isAwaited)
        #expect(woken.value.withLock { $0 } == 0)
        _ = inbox.put(32)
        await handled(32)
        _ = inbox.put(33)
        #expect(inbox.isAwaited)
        inbox.wake()
        await handled(33)
        inbox.wake()
        #expect(inbox.isAwaited)
        for number in 34...36 { _ = inbox.put(number) }
        inbox.finish()
        await reader.value
        #expect(woken.value.withLock { $0 } == 36)
    }

    @Test("a producer and a consumer on different threads lose nothing and keep the order")
    func threads() async {
        let inbox = Inbox<Int>(high: 16) {}
        let producer = Task.detached {
            for number in 0..<20_000 { _ = inbox.offer(number) }
            inbox.finish()
        }
        var expected = 0
        for await number in inbox {
            #expect(number == expected)
            expected += 1
        }
        await producer.value
        #expect(expected == 20_000)
    }
}

private final class Count: Sendable {
    let value = Mutex(0)
}
