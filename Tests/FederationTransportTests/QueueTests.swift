import FederationModel
import FederationWire
import NIOCore
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

    /// Two addresses of one owner, by which the bounds must not be doubled, and one of somebody else.
    static let owners: [([String], String)] = [
        (["192.0.2.1", "192.0.2.1"], "192.0.2.2"), (["192.0.2.1", "::ffff:192.0.2.1"], "::ffff:192.0.2.2"),
        (["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"], "2001:db8:1:3::1"),
    ]

    @Test("open handshakes are counted by address, of IPv6 by /64, and together, and freed", arguments: owners)
    func gate(own: [String], other: String) throws {
        let gate = HandshakeGate(total: 3, perAddress: 2)
        let own = try own.map { try SocketAddress(ipAddress: $0, port: 1) }
        let other = try SocketAddress(ipAddress: other, port: 1)
        let now = Instant(nanoseconds: 0)
        #expect(gate.enter(own[0], at: now) == nil && gate.enter(own[1], at: now) == nil)
        #expect(gate.enter(own[0], at: now) == .handshakes && gate.enter(own[1], at: now) == .handshakes)
        #expect(gate.enter(other, at: now) == nil && gate.enter(nil, at: now) == .handshakes)
        gate.leave(own[1])
        #expect(gate.enter(nil, at: now) == nil && gate.enter(other, at: now) == .handshakes)
        gate.leave(try SocketAddress(ipAddress: "198.51.100.1", port: 1))
        #expect(gate.enter(other, at: now) == .handshakes)
    }

    @Test("an address may begin so many handshakes at once and then one a pause, ended or not", arguments: owners)
    func rate(own: [String], other: String) throws {
        let gate = HandshakeGate()
        let own = try own.map { try SocketAddress(ipAddress: $0, port: 1) }
        let other = try SocketAddress(ipAddress: other, port: 1)
        var now = Instant(nanoseconds: 7)
        func begin(_ address: SocketAddress) -> TransportMetrics.Limit? {
            let limit = gate.enter(address, at: now)
            if limit == nil { gate.leave(address) }
            return limit
        }
        for number in 0..<PeerLimits.handshakesPerAddress { #expect(begin(own[number % 2]) == nil) }
        #expect(begin(own[0]) == .handshakeRate && begin(own[1]) == .handshakeRate && begin(other) == nil)
        now = now + (PeerLimits.handshakePause - .nanoseconds(1))
        #expect(begin(own[0]) == .handshakeRate)
        now = now + .nanoseconds(1)
        #expect(begin(own[0]) == nil && begin(own[1]) == .handshakeRate)
        now = now + PeerLimits.handshakePause * 1_000
        let admitted = (0..<1_000).count { begin(own[$0 % 2]) == nil }
        #expect(admitted == PeerLimits.handshakesPerAddress)
    }

    @Test("this machine may begin any number of handshakes", arguments: ["127.0.0.2", "::1", "::ffff:127.0.0.1", nil])
    func loopback(address: String?) throws {
        let gate = HandshakeGate()
        let address = try address.map { try SocketAddress(ipAddress: $0, port: 1) }
        for _ in 0..<1_000 {
            #expect(gate.enter(address, at: Instant(nanoseconds: 0)) == nil)
            gate.leave(address)
        }
    }

    @Test("many addresses neither fill the memory nor wash away what one of them has spent")
    func manyAddresses() throws {
        var rate = HandshakeRate()
        let now = Instant(nanoseconds: 0)
        let spender = try #require(NetworkAddress("192.0.2.1")).network
        for _ in 0..<PeerLimits.handshakesPerAddress { #expect(rate.admit(spender, at: now) == true) }
        for number in 0..<UInt32(3 * PeerLimits.handshakeAddresses) {
            _ = rate.admit(NetworkAddress(ipv4: 0x0A00_0000 + number).network, at: now)
        }
        #expect(rate.count <= PeerLimits.handshakeAddresses)
        #expect(rate.admit(spender, at: now) == false)
    }
}
