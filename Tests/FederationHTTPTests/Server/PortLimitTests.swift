import FederationWebSocket
import NIOCore
import TestKit
import Testing

@testable import FederationHTTP

/// The bounds of the port, each with the name under which it is counted.
@Suite("Bounds of the port", .timeLimit(.minutes(patience))) struct PortLimitTests {
    private static let hello = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"

    private func address(_ text: String) throws -> RemoteAddress {
        RemoteAddress(try SocketAddress(ipAddress: text, port: 1))
    }

    // MARK: Counting

    @Test(
        "open connections are counted by address, of IPv6 by /64, until they close",
        arguments: [
            (["192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
            (["2001:db8:1:2::1", "2001:db8:1:2:f::"], "2001:db8:1:3::1"),
        ])
    func perAddress(own: [String], other: String) throws {
        var limits = ListenerLimits()
        limits.connectionsPerAddress = 2
        let connections = OpenConnections(limits)
        let own = try own.map { try address($0) }
        let other = try address(other)
        #expect(connections.enter(own[0]) == nil && connections.enter(own[1]) == nil)
        for address in own { #expect(connections.enter(address) == .connectionsPerAddress) }
        #expect(connections.enter(other) == nil && connections.enter(RemoteAddress(nil)) == nil)
        connections.leave(own[0])
        #expect(connections.enter(own[1]) == nil && connections.enter(own[0]) == .connectionsPerAddress)
    }

    @Test("all connections together are bounded, and one that was turned away takes no place")
    func total() throws {
        var limits = ListenerLimits()
        limits.connections = 2
        let connections = OpenConnections(limits)
        let (first, second, proxy) = (try address("192.0.2.1"), try address("192.0.2.2"), try address("127.0.0.1"))
        #expect(connections.enter(first) == nil && connections.enter(proxy) == nil)
        #expect(connections.enter(second) == .connections)
        connections.leave(first)
        #expect(connections.enter(second) == nil && connections.enter(first) == .connections)
    }

    @Test("this machine has no bound of its own, because a proxy there speaks for everybody", arguments: [false, true])
    func loopback(countsLoopback: Bool) throws {
        var limits = ListenerLimits()
        limits.connectionsPerAddress = 1
        limits.countsLoopback = countsLoopback
        let connections = OpenConnections(limits)
        let proxy = try address("127.0.0.1")
        #expect(connections.enter(proxy) == nil)
        #expect(connections.enter(proxy) == (countsLoopback ? .connectionsPerAddress : nil))
        #expect(connections.enter(try address("127.0.0.2")) == nil)
    }

    @Test(
        "connections leave an eighth of the file descriptors to everything else, and 64 at least",
        arguments: [
            (1 << 20, 10_000, 1_024), (11_428, 10_000, 1_024), (11_427, 9_999, 1_023), (1_024, 896, 91),
            (256, 192, 19), (65, 1, 1), (0, 1, 1),
        ])
    func descriptors(_ descriptors: Int, connections: Int, perAddress: Int) {
        var limits = ListenerLimits()
        limits.fit(descriptors: descriptors)
        #expect(limits.connections == connections && limits.connectionsPerAddress == perAddress)
    }

    /// Would fail if "no limit" were taken for a number, or if a refusal to go so far left the process with the few files that
    /// it began with.
    @Test(
        "no limit on open files is none, however it is written, and what a system refuses is asked for again with less",
        arguments: [
            (256, UInt64.max, [UInt64.max, 1 << 20, 1 << 16, 10_240]),
            (256, 1 << 63 - 1, [1 << 63 - 1, 1 << 20, 1 << 16, 10_240]),
            (1_024, 4_096, [4_096]), (1_024, 524_288, [524_288, 1 << 16, 10_240]), (20_000, 20_000, []),
            (UInt64.max, UInt64.max, []),
        ] as [(UInt64, UInt64, [UInt64])])
    func openFiles(soft: UInt64, hard: UInt64, candidates: [UInt64]) {
        #expect(OpenFileLimit.candidates(soft: soft, hard: hard) == candidates)
        #expect(OpenFileLimit.files(hard) == (hard < 1 << 31 ? Int(hard) : nil))
        var limits = ListenerLimits()
        limits.fit(descriptors: .max)
        #expect(limits.connections == ListenerLimits().connections)
    }

    // MARK: Through a socket

    @Test("connections beyond the bound are closed and counted, until another one ends")
    func connectionLimit() async throws {
        var limits = ListenerLimits()
        limits.connections = 1
        let port = try await TestPort.start(limits: limits)
        let first = try await RawConnection(port.port)
        try await first.send(Self.hello)
        _ = await first.read(until: "hello")
        let second = try await RawConnection(port.port)
        #expect(await second.readAll() == "")
        #expect(try port.limit("connections") == 1)
        try await first.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(await first.readAll().contains("200 OK"))
        // The server may see the end later than this test does.
        var answer = ""
        while !Task.isCancelled, answer.isEmpty {
            let third = try await RawConnection(port.port)
            try? await third.send(Self.hello)
            answer = await third.read(until: "hello")
            try? await third.channel.close().get()
        }
        #expect(answer.hasPrefix("HTTP/1.1 200 OK"))
        try await port.stop()
    }

    @Test("a head beyond its bounds is counted in the first request and in every later one", arguments: [0, 1, 3])
    func laterHeads(requestsBefore: Int) async throws {
        let port = try await TestPort.start()
        let raw = try await RawConnection(port.port)
        for _ in 0..<requestsBefore {
            try await raw.send(Self.hello)
            #expect(await raw.read(until: "hello").hasPrefix("HTTP/1.1 200 OK"))
        }
        try await raw.send("GET /hello HTTP/1.1\r\nX: \(String(repeating: "a", count: 17_000))\r\n\r\n")
        let answer = await raw.readAll()
        #expect(answer.hasPrefix("HTTP/1.1 431 ") && answer.contains("too large"), "\(answer)")
        #expect(try port.limit("header_size") == 1)
        try await port.stop()
    }

    @Test(
        "silence between requests and within one closes the connection, and is counted",
        arguments: [
            ("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "hello"),
            ("POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123", ""),
        ])
    func silence(bytes: String, answer: String) async throws {
        var limits = ListenerLimits()
        limits.idleTimeout = .milliseconds(200)
        let port = try await TestPort.start(limits: limits)
        let raw = try await RawConnection(port.port)
        try await raw.send(bytes)
        let all = await raw.readAll()
        #expect(all.hasSuffix(answer) && all.isEmpty == answer.isEmpty, "\(all)")
        #expect(try port.limit("idle_time") == 1)
        #expect(try port.limit("first_request_time") == 0)
        try await port.stop()
    }
}
