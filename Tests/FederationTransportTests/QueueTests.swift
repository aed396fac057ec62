import FederationModel
import FederationWire
import Testing

@testable import FederationTransport

@Suite struct QueueTests {
    private func chunk(_ bytes: Int) -> FederationFrame {
        .assetResponse(.init(request: 1, answer: .chunk(Array(repeating: 0, count: bytes))))
    }

    @Test("the event loop is woken once for many frames")
    func waking() {
        let outbox = PeerOutbox()
        #expect(outbox.put(heartbeat(1)) == .wake)
        #expect(outbox.put(heartbeat(2)) == .nothing)
        outbox.awoken()
        #expect(outbox.take(10) == [heartbeat(1), heartbeat(2)])
        #expect(outbox.put(heartbeat(3)) == .wake)
    }

    @Test("a queue that is full closes as overloaded and lets go of its frames")
    func frames() {
        let outbox = PeerOutbox(maximumFrames: 3)
        for number in 1...3 { #expect(outbox.put(heartbeat(UInt64(number))) != .overflow) }
        #expect(outbox.closing == nil)
        #expect(outbox.put(heartbeat(4)) == .overflow)
        #expect(outbox.put(heartbeat(5)) == .nothing)
        #expect(outbox.closing == .overloaded && outbox.take(10).isEmpty)
    }

    @Test("bytes are bounded too, but one frame always fits")
    func bytes() {
        let outbox = PeerOutbox(maximumBytes: 10_000)
        #expect(outbox.put(chunk(50_000)) == .wake)
        #expect(outbox.take(1).count == 1)
        #expect(outbox.put(chunk(4_000)) != .overflow)
        #expect(outbox.put(chunk(4_000)) != .overflow)
        #expect(outbox.put(chunk(4_000)) == .overflow)
    }

    @Test("the first code to close with counts, and nothing is put behind it")
    func closing() {
        let outbox = PeerOutbox()
        #expect(outbox.put(heartbeat(1)) == .wake)
        #expect(outbox.close(.suspended) == .nothing)
        #expect(outbox.close(.goingAway) == .nothing)
        #expect(outbox.put(heartbeat(2)) == .nothing)
        #expect(outbox.closing == .suspended && outbox.take(10) == [heartbeat(1)])
    }

    @Test("open handshakes are counted by address and together, and freed")
    func gate() {
        let gate = HandshakeGate(total: 3, perAddress: 2)
        #expect(gate.enter("a") && gate.enter("a") && !gate.enter("a"))
        #expect(gate.enter("b") && !gate.enter("c"))
        gate.leave("a")
        #expect(gate.enter("c") && !gate.enter("d"))
        gate.leave("nobody")
        #expect(!gate.enter("d"))
    }
}
