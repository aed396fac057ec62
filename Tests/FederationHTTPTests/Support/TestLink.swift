import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import Synchronization

@testable import FederationHTTP

/// Asks a registry through a real socket. What it answers can be tampered with on the way.
struct TestLink: RegistryLink {
    typealias Tamper = @Sendable (RegistryRequest, JSONValue) -> JSONValue

    var tamper: Tamper = { $1 }

    func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8] {
        guard let port = request.address.split(separator: ":").last.flatMap({ Int($0) }) else {
            throw Self.unreachable("no port in \(request.address)")
        }
        let headers = request.statement == nil ? [:] : ["Content-Type": "application/jose"]
        let raw = RawRequest(
            method: request.method, path: request.path, headers: headers, body: request.statement.map { Array($0.utf8) }
        )
        let answer: Answer
        do {
            answer = try Answer(await RawSocket.exchange(raw.bytes, port: port, closing: false), to: request.method)
        } catch {
            throw Self.unreachable("\(error)")
        }
        guard (200..<300).contains(answer.status) else {
            throw Refusal(
                .unavailable, code: answer.code ?? "http.status\(answer.status)", reason: answer.text, remedy: "none")
        }
        guard let json = try? answer.json else { return answer.body }
        return tamper(request, json).serialized()
    }

    private static func unreachable(_ cause: String) -> Refusal {
        Refusal(.unavailable, code: "registry.unreachable", reason: cause, remedy: "none")
    }
}

extension TestServer {
    /// As others name this server's registry.
    var address: String { "http://127.0.0.1:\(port)" }
}

/// A server that does not run, with its keys.
struct Stranger: Sendable {
    let id: ServerID
    var keys: ServerIdentity
    var commitment = KeyCommitment()
    var rotations: [String] = []
    var revocation: String?
    var sequence: UInt64 = 1
    var name: String
    var endpoints: [Endpoint]
    var worlds: [WorldID] = []
    var issued: Timestamp = ManualClock.start
    var lifetime: Duration = .seconds(3_600)

    init(_ id: String, key: String? = nil, port: UInt16 = 7_900) throws {
        self.id = ServerID(unchecked: id)
        keys = try Self.identity(id, key ?? id)
        name = "The \(self.id) server"
        endpoints = [try Self.endpoint(port)]
    }

    static func identity(_ id: String, _ key: String) throws -> ServerIdentity {
        try ServerIdentity(id: ServerID(unchecked: id), seed: ContentHash.of(Array(key.utf8)).bytes)
    }

    static func endpoint(_ port: UInt16) throws -> Endpoint {
        guard let host = Host("127.0.0.1"), let endpoint = Endpoint(host: host, port: port) else {
            throw CancellationError()
        }
        return endpoint
    }

    /// Its signed card.
    var card: String {
        ServerCard(
            id: id, name: name, endpoint: endpoints[0], alternatives: Array(endpoints.dropFirst()),
            publicKey: keys.publicKey, commitment: commitment, rotations: rotations, revocation: revocation,
            sequence: sequence, worlds: worlds, issued: issued, expires: issued + lifetime
        ).issue(by: keys)
    }

    func heartbeat(_ number: UInt64, to reader: String = "registry", at time: Timestamp) -> String {
        HeartbeatStatement(
            issuer: id, audience: ServerID(unchecked: reader), sequence: number, issuedAt: time
        ).issue(by: keys)
    }

    func deregistration(from registry: String, sequence: UInt64? = nil, at time: Timestamp) -> String {
        DeregistrationStatement(
            issuer: id, registry: ServerID(unchecked: registry), sequence: sequence ?? self.sequence, issuedAt: time
        ).issue(by: keys)
    }

    /// Commits to a key by its name.
    mutating func commit(toNext key: String) throws {
        commitment.next = try Self.identity(id.rawValue, key).publicKey.commitment
    }

    /// Goes over to a key by its name, whether or not it was committed to.
    mutating func rotate(to key: String) throws {
        let next = try Self.identity(id.rawValue, key)
        let rotation = KeyRotation(issuer: id, to: next.publicKey, next: nil, issuedAt: issued)
        rotations.append(rotation.issue(by: keys))
        keys = next
        commitment.next = nil
        sequence += 1
    }
}
