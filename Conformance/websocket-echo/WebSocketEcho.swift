import FederationHTTP
import FederationWebSocket
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix

/// Sends back every message it gets: what a conformance suite talks to. It is no product; it puts the suite in front of
/// the very port, upgrade and message layer that carry `/federation` and `/client`, with their default bounds.
///
///     websocket-echo serve [PORT]    answers on /echo; says where it listens
///     websocket-echo drive PORT      goes through every case of a fuzzing server
@main enum WebSocketEcho {
    static let agent = "aether"

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let port = arguments.dropFirst().first.flatMap { Int($0) }
        switch (arguments.first, port) {
        case ("serve", let port): try await serve(port ?? 0)
        case ("drive", let port?): try await drive(port)
        default: throw Misuse()
        }
    }

    /// Listens until the process is ended.
    private static func serve(_ port: Int) async throws {
        var logger = Logger(label: "websocket-echo")
        logger.logLevel = .error
        let route = WebSocketRoute(path: "/echo") { channel, _ in
            WebSocketConnection.attach(to: channel, WebSocketConfiguration(role: .server)).map { connection in
                Task { await echo(connection) }
            }
        }
        let application = Application(
            router: Router(), server: try .upgradable(routes: [route]),
            configuration: .listener(host: "127.0.0.1", port: port),
            onServerRunning: { channel in
                // Whoever waits for this line reads a pipe, which would be written to in blocks otherwise.
                try? FileDescriptorText.standardOutput.write(
                    "listening on 127.0.0.1:\(channel.localAddress?.port ?? 0)\n")
            }, logger: logger)
        try await application.runService()
    }

    /// Asks a fuzzing server how many cases it has and takes each on a connection of its own.
    private static func drive(_ port: Int) async throws {
        let counter = try await open("/getCaseCount", port)
        guard case .text(let text) = await counter.messages.next(), let count = Int(text) else { throw Misuse() }
        await counter.close()
        for number in 1...max(count, 1) {
            let connection = try await open("/runCase?case=\(number)&agent=\(agent)", port)
            await echo(connection)
            await connection.close()
        }
        let report = try await open("/updateReports?agent=\(agent)", port)
        for await _ in report.messages {}
        await report.close()
        try FileDescriptorText.standardOutput.write("\(count) cases\n")
    }

    private static func open(_ path: String, _ port: Int) async throws -> WebSocketConnection {
        try await WebSocketDialer(group: MultiThreadedEventLoopGroup.singleton)
            .connect(to: .init(host: "127.0.0.1", port: port, path: path)) {
                WebSocketConnection.attach(to: $0, WebSocketConfiguration(role: .client))
            }
    }

    private static func echo(_ connection: WebSocketConnection) async {
        for await message in connection.messages {
            // A message that cannot be sent any more is one whose connection ended: the loop ends by itself.
            try? await connection.send(message)
        }
    }

    struct Misuse: Error, CustomStringConvertible {
        let description = "use: websocket-echo serve [PORT] | websocket-echo drive PORT"
    }
}
