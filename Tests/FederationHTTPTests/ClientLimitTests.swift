import FederationModel
import FederationWebSocket
import NIOCore
import NIOPosix
import TestKit
import Testing

@testable import FederationHTTP

/// The bounds of `/client`, each with its close code and the name under which it is counted.
@Suite("Bounds of /client", .timeLimit(.minutes(patience))) struct ClientLimitTests {
    private static let opening = [
        "GET /client HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
    ].joined(separator: "\r\n")

    /// A client's frame of at most 125 bytes, with a mask of zeros.
    private static func frame(_ first: UInt8, _ payload: [UInt8] = []) -> [UInt8] {
        [first, 0x80 | UInt8(payload.count), 0, 0, 0, 0] + payload
    }

    struct Misdeed: Sendable, CustomTestStringConvertible {
        let limit: String
        let code: UInt16
        let bytes: [UInt8]
        var testDescription: String { limit }
    }

    private static let misdeeds = [
        // The header alone: a text frame that announces one byte more than a message may have.
        Misdeed(
            limit: "client_message_size", code: 1009,
            bytes: [0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]),
        Misdeed(
            limit: "client_fragments", code: 1009,
            bytes: frame(0x01) + (0..<16).flatMap { _ in frame(0x00) }),
        Misdeed(
            limit: "client_control_frames", code: 1008,
            bytes: (0..<513).flatMap { _ in frame(0x8A) }),
    ]

    @Test("frames beyond their bounds close the socket, under the limit's name", arguments: misdeeds)
    func frames(misdeed: Misdeed) async throws {
        try await TestServer.run { server async throws in
            let received = try await server.exchange(Array(Self.opening.utf8) + misdeed.bytes, closing: false)
            #expect(received.suffix(4) == [0x88, 2, UInt8(misdeed.code >> 8), UInt8(misdeed.code & 0xFF)])
            try await counted(misdeed.limit, on: server)
        }
    }

    @Test("a client that answers no ping is given up as silent")
    func silence() async throws {
        let brief: @Sendable (inout WebSocketConfiguration) -> Void = {
            $0.idleTimeout = .milliseconds(100)
            $0.pingInterval = nil
        }
        try await TestServer.run(bounds: brief) { server async throws in
            let client = try await ClientProbe.connect(to: server)
            #expect(await client.closeCode() == CloseCode.silent.rawValue)
            try await counted("client_silence", on: server)
        }
    }

    @Test("a client that does not read gets no more time by talking")
    func talkingSlowReader() async throws {
        // It takes the welcome and the answer to its opening.
        let socket = StuckSocket(taking: 2)
        try await TestServer.run(client: socket.route) { server async throws in
            try await server.publish()
            let ticket = try await server.enter("ada")
            let client = try await ClientProbe.connect(
                to: server, saying: "{\"type\":\"join\",\"ticket\":\"\(ticket)\"}")
            #expect(try await client.receive().type == "joined")
            // Apart from the limit of that answer, which may not be over yet.
            server.clock.advance(by: .milliseconds(1))
            // The client is told that this one is refused, and does not take it.
            let travel = try await server.request("POST", "/v1/portals/nowhere/travel", json: #"{"player":"ada"}"#)
            #expect(travel.code != nil)
            await server.clock.sleeper(for: ClientSocket.sendTimeout)
            let reads = socket.reads
            try await client.connection.send("{}")
            try await eventually { socket.reads > reads }
            // What the message brings about is brought about.
            for _ in 0..<1_000 { await Task.yield() }
            server.clock.advance(by: ClientSocket.sendTimeout)
            #expect(await socket.closeCode() == CloseCode.overloaded.rawValue)
            try await counted("client_slow_reader", on: server)
        }
    }

    private func eventually(_ condition: () async throws -> Bool) async throws {
        while try await !condition() {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    /// Waits until this bound, and no other one, has been counted: the client sees the Close frame before.
    private func counted(_ limit: String, on server: TestServer) async throws {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        while try !Task.isCancelled && server.limit(limit) == 0 {
            try await eventLoop.scheduleTask(in: .milliseconds(2)) {}.futureResult.get()
        }
        for other in PortLimit.allCases {
            let times = try server.limit(other.rawValue)
            #expect(times == (other.rawValue == limit ? 1 : 0), "\(other.rawValue)")
        }
    }
}
