import FederationCrypto
import FederationModel
import Logging
import Synchronization
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Secrets", .timeLimit(.minutes(patience)))
struct SecretsTests {
    @Test("neither key, guess, ticket nor player state reaches the log, which names every request by its id")
    func log() async throws {
        let log = LogCapture()
        let state = "the combination is 7-31-12"
        let (ticket, id) = try await TestServer.run(logger: log.logger) { server async throws in
            try await server.publish()
            let ticket = try await server.enter("ada", state: state)
            try await server.request("GET", "/v1/status", as: .guesser)
            try await server.request("GET", "/v1/worlds/harbour/players/ada")
            let client = try await ClientProbe.connect(to: server, saying: #"{"type":"join","ticket":"\#(ticket)"}"#)
            _ = try await client.receive()
            let answer = try await server.request("GET", "/v1/nothing?key=\(TestServer.adminKey)")
            return (ticket, answer.headers["x-request-id"] ?? "none")
        }
        let text = log.text
        #expect(text.contains("GET /v1/nothing → 404"))
        #expect(text.contains("hb.request.id=\(id)"))
        #expect(text.contains("an admin key was refused"))
        for secret in [
            TestServer.adminKey, "wrong", ticket, String(ticket.suffix(40)), state, base64(Array(state.utf8)),
        ] {
            #expect(!text.contains(secret), "\(secret)")
        }
    }

    @Test("the authenticator shows no key and no hash of one when it is printed")
    func printed() {
        let hash = AdminAuthenticator.hash(of: TestServer.adminKey)
        let text = "\(AdminAuthenticator(keyHash: hash))"
        #expect(!text.contains(TestServer.adminKey) && !text.contains("\(hash)"))
    }
}

/// Keeps what is logged.
final class LogCapture: Sendable {
    private let lines = Mutex<[String]>([])

    var text: String { lines.withLock { $0.joined(separator: "\n") } }

    var logger: Logger {
        var logger = Logger(label: "test", factory: { _ in Handler(capture: self) })
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let capture: LogCapture
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
            let shown = all.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
            capture.lines.withLock { $0.append("\(event.level) \(event.message) \(shown)") }
        }
    }
}
