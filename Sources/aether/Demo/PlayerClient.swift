import FederationModel
import FederationWebSocket
import Foundation
import NIOCore
import NIOPosix

/// A player's client: what a game connects to `/client` with.
struct PlayerClient: Sendable {
    private let connection: WebSocketConnection

    /// Connects and takes the welcome.
    static func connect(to endpoint: Endpoint) async throws -> PlayerClient {
        let dialer = WebSocketDialer(group: MultiThreadedEventLoopGroup.singleton)
        let target = WebSocketDialer.Target(host: endpoint.host.name, port: Int(endpoint.port), path: "/client")
        let connection = try await dialer.connect(to: target) { channel in
            WebSocketConnection.attach(
                to: channel,
                WebSocketConfiguration(role: .client, accepts: .text, maximumMessageBytes: Limits.clientMessageBytes))
        }
        let client = PlayerClient(connection: connection)
        _ = try await client.next("welcome")
        return client
    }

    /// Follows a player who is here.
    func join(ticket: String) async throws -> JSONText.Fields {
        try await send(["type": "join", "ticket": ticket])
        return try await next("joined")
    }

    /// Comes through a portal.
    func arrive(token: String) async throws -> JSONText.Fields {
        try await send(["type": "arrive", "token": token])
        return try await next("arrived")
    }

    private func send(_ message: [String: Any]) async throws {
        try await connection.send(jsonLine(message))
    }

    /// The next message of one of these types; an error of the server is thrown as its refusal.
    func next(_ types: String..., seen: (JSONText.Fields) -> Void = { _ in }) async throws -> JSONText.Fields {
        while let message = await connection.messages.next() {
            guard case .text(let text) = message else { continue }
            let fields = JSONText(data: Data(text.utf8)).fields
            let type = fields["type"].text()
            if type == "error" {
                throw Refusal(
                    .conflict, code: fields["code"].text("client.refused"), reason: fields["reason"].text(),
                    remedy: fields["remedy"].text(), step: fields["step"].string.flatMap(CrossingStep.init(rawValue:)))
            }
            if types.contains(type) { return fields }
            seen(fields)
        }
        throw Refusal(
            .unavailable, code: "client.closed", reason: "the server closed the player's socket",
            remedy: "read the server's log")
    }

    func close() async {
        await connection.close()
    }
}
