import Crypto
import FederationCore
import FederationCrypto
import FederationHTTP
import FederationModel
import FederationService
import Foundation
import Hummingbird
import Logging
import NIOCore
import NIOPosix

/// Signed registrations, signed heartbeats and look-ups through HTTP, against the floors: a route of the same server that
/// always answers the same, and one Ed25519 verification.
struct RegistryPart {
    static let name = "registry"
    private static let requests = 400
    private static let connections = 16
    private static let adminKey = "a key for a measure, of no use elsewhere"

    func run(_ table: inout ResultTable) async throws {
        let logger = Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        guard let endpoint = Endpoint("ws://127.0.0.1:7700") else { throw CoreTables.Problem.sample }
        let server = try await FederationServer.open(
            identity: try ServerIdentity(id: ServerID(unchecked: "registry"), seed: Array(repeating: 1, count: 32)),
            configuration: NodeConfiguration(name: "A registry", endpoint: endpoint), store: MemoryStore(),
            assets: MemoryAssetStore(), logger: logger)
        let routes = FederationRoutes(
            server: server, admin: AdminAuthenticator(keyHash: AdminAuthenticator.hash(of: Self.adminKey)),
            metrics: PrometheusRegistry())
        let router = routes.makeRouter()
        router.get("constant") { _, _ in "always the same" }
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            router: router, server: try .upgradable(routes: []),
            configuration: .listener(host: "127.0.0.1", port: 0),
            onServerRunning: { channel in bound.yield(channel.localAddress?.port ?? 0) }, logger: logger)
        let running = Task { try await application.run() }
        var iterator = ports.makeAsyncIterator()
        guard let port = await iterator.next() else { throw CoreTables.Problem.sample }
        let clients = try await HTTPClients(port: port, connections: Self.connections)
        try await measure(clients, &table)
        running.cancel()
        _ = await running.result
    }

    private func measure(_ clients: HTTPClients, _ table: inout ResultTable) async throws {
        let constant = [ByteBuffer](repeating: Self.request("GET", "/constant"), count: Self.requests)
        let members = try Members(Self.requests)
        try await clients.send(try members.first(), expecting: 200)
        for (name, status, make) in [
            ("signed registrations", 200, { try members.registrations() }),
            ("signed heartbeats", 200, { members.heartbeats() }),
            ("look-ups", 200, { members.lookUps() }),
        ] as [(String, Int, () throws -> [ByteBuffer])] {
            // Signed beforehand: the signature is not the registry's cost.
            var batches = try (0..<Contest.allRounds).map { _ in try make() }
            let contest = try await Contest(
                operations: Self.requests,
                [
                    .init(name) { try await clients.send(batches.removeFirst(), expecting: status) },
                    .init("a constant through HTTP") { try await clients.send(constant, expecting: 200) },
                    .init("Ed25519 verification") { try Verification.run(Self.requests) },
                ], processorTime: { CPUTime.now - (try await clients.processorTime()) })
            add(contest, isSigned: name != "look-ups", to: &table)
        }
    }

    private func add(_ contest: Contest, isSigned: Bool, to table: inout ResultTable) {
        let floors = isSigned ? [1, 2] : [1]
        let tighter = floors.max { contest.cost($0, by: \.processor) < contest.cost($1, by: \.processor) }
        for floor in floors {
            table.add(
                Row(
                    Self.name, "\(contest.names[0]), \(contest.names[floor])", rate: contest, to: floor,
                    by: \.processor, unit: "1/cpu s", atLeast: floor == tighter ? 0.7 : nil))
        }
    }

    private static func request(_ method: String, _ path: String, jws: String? = nil) -> ByteBuffer {
        // With the key, since what strangers ask is counted.
        var text = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \(adminKey)\r\n"
        if let jws {
            text += "Content-Type: application/jose\r\nContent-Length: \(jws.utf8.count)\r\n\r\n\(jws)"
        } else {
            text += "\r\n"
        }
        return ByteBuffer(string: text)
    }

    /// Servers that live here, and others that come. Whatever one of them sends more than once is numbered upwards, and no
    /// two requests of a batch are of the same server: they overtake each other.
    private final class Members {
        private let members: [ServerIdentity]
        private var sequence: UInt64 = 0
        private var strangers: UInt64 = 0

        init(_ count: Int) throws {
            members = try (0..<count).map { try Self.identity("member-\($0)", UInt64($0)) }
        }

        private static func identity(_ id: String, _ number: UInt64) throws -> ServerIdentity {
            let seed = Array(repeating: UInt8(id.utf8.count), count: 24) + withUnsafeBytes(of: number) { Array($0) }
            return try ServerIdentity(id: ServerID(unchecked: id), seed: seed)
        }

        /// Of those that live here.
        func first() throws -> [ByteBuffer] {
            try members.map { try registration($0) }
        }

        /// As many others.
        func registrations() throws -> [ByteBuffer] {
            try members.map { _ in
                strangers += 1
                return try registration(try Self.identity("stranger-\(strangers)", strangers))
            }
        }

        private func registration(_ identity: ServerIdentity) throws -> ByteBuffer {
            guard let endpoint = Endpoint("ws://127.0.0.1:7800") else { throw CoreTables.Problem.sample }
            let now = SystemClock().now().timestamp
            let card = ServerCard(
                id: identity.id, name: "A server", endpoint: endpoint, publicKey: identity.publicKey, sequence: 1,
                worlds: [], issued: now, expires: now + .seconds(3_600))
            return RegistryPart.request("POST", "/v1/servers", jws: card.issue(by: identity))
        }

        func heartbeats() -> [ByteBuffer] {
            sequence += 1
            let now = SystemClock().now().timestamp
            return members.map { member in
                let statement = HeartbeatStatement(
                    issuer: member.id, audience: ServerID(unchecked: "registry"), sequence: sequence, issuedAt: now)
                return RegistryPart.request(
                    "POST", "/v1/servers/\(member.id)/heartbeat", jws: statement.issue(by: member))
            }
        }

        func lookUps() -> [ByteBuffer] {
            members.map { RegistryPart.request("GET", "/v1/servers/\($0.id)") }
        }
    }

    private enum Verification {
        private static let key = Curve25519.Signing.PrivateKey()
        private static let message = [UInt8](repeating: 5, count: 400)

        static func run(_ count: Int) throws {
            let signature = try key.signature(for: message)
            for _ in 0..<count { keep(key.publicKey.isValidSignature(signature, for: message)) }
        }
    }
}
