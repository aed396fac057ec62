import FederationCore
import FederationCrypto
import FederationModel
public import FederationService
public import FederationWebSocket
public import Metrics
import NIOCore

/// The WebSocket of players' clients: who they are, then what happens to their crossings. PROTOCOL.md lists the messages.
///
/// A client has ``openingTimeout`` to say who it is, and one try. From then on it only listens; a message from it closes
/// the socket. One that does not take what it is sent for ``sendTimeout`` is dropped as overloaded, one that answers no ping
/// as silent. No message of a client reaches another server.
public struct ClientSocket: Sendable {
    /// Where it is.
    public static let path = "/client"
    /// From the upgrade to the first message.
    public static let openingTimeout: Duration = .seconds(30)
    /// How long one message may wait for a client that does not read.
    public static let sendTimeout: Duration = .seconds(10)
    /// Messages of a client that may wait: it has one to say, and a second one ends the conversation.
    static let waitingMessages = 1
    /// How long an arriving client waits here for the source's decision, which may still be on its way.
    public static let admissionTimeout: Duration = .seconds(10)

    private let server: FederationServer
    private let clock: any FederationClock
    private let metrics: PortMetrics
    /// The socket's bounds and timers; tests shorten them.
    var bounds = Self.configuration

    public init(
        server: FederationServer, clock: any FederationClock = SystemClock(),
        metrics: any MetricsFactory = MetricsSystem.factory
    ) {
        self.server = server
        self.clock = clock
        self.metrics = PortMetrics(factory: metrics)
    }

    /// The route for the listener.
    public var route: WebSocketRoute {
        WebSocketRoute(path: Self.path) { channel, _ in
            WebSocketConnection.attach(to: channel, bounds, waiting: Self.waitingMessages).map { connection in
                // Ends when the connection does: its messages end then.
                Task { await serve(connection) }
            }
        }
    }

    /// Bounds and timers of the socket.
    static let configuration = WebSocketConfiguration(
        role: .server, accepts: .text, maximumMessageBytes: Limits.clientMessageBytes, maximumFragments: 16,
        pingInterval: .seconds(20), idleTimeout: .seconds(60),
        closeCode: { failure in
            failure == .silent ? CloseCode.silent.rawValue : failure.standardCode
        })

    /// Why the server ends a conversation.
    private enum Ending: Error {
        case close(UInt16, String)
    }

    /// Talks to one client until either side ends it.
    public func serve(_ connection: WebSocketConnection) async {
        do {
            let challenge = await server.challenge()
            try await send(ServerMessage.welcome(server.id, challenge: challenge), on: connection)
            let opening = try await self.opening(of: connection)
            switch opening {
            case .join(let ticket): try await join(ticket, connection)
            case .arrive(let token, let proof): try await arrive(token, proof, challenge, connection)
            }
        } catch let problem as Problem {
            await refuse(
                Refusal(.invalid, code: problem.code, reason: problem.detail, remedy: problem.remedy), connection)
        } catch let refusal as Refusal {
            await refuse(refusal, connection)
        } catch let Ending.close(code, reason) {
            await close(connection, code, reason)
        } catch {
            // The connection is gone, or goes now.
            await close(connection, CloseCode.internalError.rawValue)
        }
    }

    /// The last thing that is done with a connection, also with one that its own frames have ended.
    private func close(_ connection: WebSocketConnection, _ code: UInt16, _ reason: String = "") async {
        if case .failure(let failure)? = connection.closure?.origin, let limit = PortLimit(client: failure) {
            metrics.reached(limit)
        }
        await connection.close(code: code, reason: reason)
    }

    // MARK: Opening

    private func opening(of connection: WebSocketConnection) async throws -> ClientOpening {
        let message = try await within(Self.openingTimeout) { await connection.messages.next() }
        switch message {
        case .answer(.text(let text)?):
            return try ClientOpening(text)
        case .answer(.binary?), .answer(nil):
            // The socket takes no binary messages; nil is the end.
            throw Ending.close(1000, "")
        case .timeout:
            metrics.reached(.clientOpeningTime)
            throw Ending.close(CloseCode.handshakeTimeout.rawValue, "no join and no arrival came in time")
        }
    }

    private func join(_ ticket: String, _ connection: WebSocketConnection) async throws {
        switch try await server.join(ticket: ticket) {
        case .here(let player):
            try await follow(player, on: connection) { ServerMessage.joined($0) }
        case .moved(let handoff, let redirect):
            try await send(ServerMessage.redirect(handoff, redirect), on: connection)
            throw Ending.close(1000, "the player is on another server")
        }
    }

    private func arrive(
        _ token: String, _ proof: [UInt8]?, _ challenge: [UInt8], _ connection: WebSocketConnection
    ) async throws {
        let player = try await server.arrive(
            token: token, proof: proof, challenge: challenge, within: Self.admissionTimeout)
        try await follow(player, on: connection) { ServerMessage.arrived($0) }
    }

    // MARK: Following

    private func follow(
        _ player: FollowedPlayer, on connection: WebSocketConnection,
        _ answer: (PlayerRecordMembers) -> JSONValue
    ) async throws {
        let record = player.record
        var members = record.briefMembers
        members["ticket"] = .string(player.ticket)
        try await send(answer(PlayerRecordMembers(members: members)), on: connection)
        if case .departing(let handoff) = record.presence {
            try await send(ServerMessage.offered(handoff), on: connection)
        }
        let ending = try await withThrowingTaskGroup(of: Ending.self) { group in
            group.addTask { try await forward(player.updates, to: connection) }
            group.addTask { await silence(of: connection) }
            defer { group.cancelAll() }
            return try await group.next() ?? .close(1000, "")
        }
        throw ending
    }

    private func forward(
        _ updates: AsyncStream<PlayerUpdate>, to connection: WebSocketConnection
    ) async throws -> Ending {
        for await update in updates {
            // What waits in the stream comes also when the conversation is over.
            try Task.checkCancellation()
            guard let message = ServerMessage.update(update) else { continue }
            try await send(message, on: connection)
            switch update {
            case .completed: return .close(1000, "the player is on another server")
            case .gone, .voided: return .close(1008, "the player is not here")
            case .revoked: return .close(1008, "the key that let the client in is revoked")
            case .progress, .verifying, .offered, .redirect, .returned, .admitted, .withdrawn: break
            }
        }
        return .close(CloseCode.goingAway.rawValue, "this server is stopping")
    }

    /// Waits for the end of the connection, and for a message that must not come.
    private func silence(of connection: WebSocketConnection) async -> Ending {
        await connection.messages.next() == nil
            ? .close(1000, "")
            : .close(CloseCode.protocolError.rawValue, "a client only listens after its first message")
    }

    // MARK: Sending

    private func send(_ message: JSONValue, on connection: WebSocketConnection) async throws {
        let text = message.serializedText()
        let deadline = clock.now().instant + Self.sendTimeout
        // A task of its own: a write that waits for the client goes on when the conversation is cancelled, for a message that
        // must not come or whatever else, and its limit with it.
        let limit = Task {
            try await clock.sleep(until: deadline)
            metrics.reached(.clientSlowReader)
            // Ends the write below as well.
            await connection.close(code: CloseCode.overloaded.rawValue, reason: "the client reads too slowly")
        }
        defer { limit.cancel() }
        try await connection.send(text)
    }

    private func refuse(_ refusal: Refusal, _ connection: WebSocketConnection) async {
        let code: UInt16 =
            switch refusal.kind {
            case .invalid: CloseCode.protocolError.rawValue
            case .notFound, .conflict, .forbidden: 1008
            case .overloaded, .unavailable: CloseCode.overloaded.rawValue
            }
        try? await send(ServerMessage.error(refusal), on: connection)
        await close(connection, code, refusal.code)
    }

    // MARK: Time

    private enum Outcome<Answer: Sendable>: Sendable {
        case answer(Answer)
        case timeout
    }

    private func within<Answer: Sendable>(
        _ limit: Duration, _ work: @escaping @Sendable () async -> Answer
    ) async throws -> Outcome<Answer> {
        let deadline = clock.now().instant + limit
        return try await withThrowingTaskGroup(of: Outcome<Answer>.self) { group in
            group.addTask { .answer(await work()) }
            group.addTask {
                try await clock.sleep(until: deadline)
                return .timeout
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .timeout
        }
    }
}
