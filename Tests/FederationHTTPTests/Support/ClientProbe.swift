import FederationCrypto
import FederationModel
import FederationWebSocket
import NIOPosix
import Testing

/// A player's client.
struct ClientProbe: Sendable {
    let connection: WebSocketConnection

    /// Connects to `/client`.
    static func connect(to server: TestServer) async throws -> ClientProbe {
        let dialer = WebSocketDialer(group: .singletonMultiThreadedEventLoopGroup)
        let connection = try await dialer.connect(
            to: .init(host: "127.0.0.1", port: server.port, path: "/client")
        ) { channel in
            WebSocketConnection.attach(to: channel, WebSocketConfiguration(role: .client, accepts: .text))
        }
        return ClientProbe(connection: connection)
    }

    /// Connects, takes the welcome and says who it is.
    static func connect(to server: TestServer, saying opening: String) async throws -> ClientProbe {
        let probe = try await connect(to: server)
        #expect(try await probe.receive()["type"]?.text == "welcome")
        // What guarded the sending of the welcome may still sleep, for as long as an arrival waits: a test that waits for the
        // one must not see the other.
        server.clock.advance(by: .milliseconds(1))
        try await probe.connection.send(opening)
        return probe
    }

    /// The next message.
    func receive() async throws -> JSONValue {
        guard case .text(let text)? = await connection.messages.next() else {
            Issue.record("the socket ended: \(connection.closure.map { "\($0)" } ?? "")")
            throw CancellationError()
        }
        return try JSONValue.parse(text)
    }

    /// Messages up to one of this type, which is the last.
    func receive(until type: String) async throws -> [JSONValue] {
        var received: [JSONValue] = []
        while received.last?["type"]?.text != type { received.append(try await receive()) }
        return received
    }

    /// The code with which the server closes; what comes before is dropped.
    func closeCode() async -> UInt16? {
        while await connection.messages.next() != nil {}
        return connection.closure?.code
    }
}

extension JSONValue {
    /// The `type` of a message.
    var type: String { self["type"]?.text ?? "" }
}
