import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import Synchronization

/// A registry of whose every answer a test decides: what its log says, under which key, and what somebody in between makes of it.
final class ScriptedRegistry: RegistryLink {
    static let address = "http://registry.test:7700"

    struct Script: Sendable {
        var identity: Stranger
        /// Whom the log lists, one entry each.
        var listed: [Stranger] = []
        /// The places of entries that say that somebody has left.
        var departures: Set<Int> = []
        /// Entries, by their places, that the test has written itself. No card is shown with them.
        var written: [Int: RegistryLogEntry] = [:]
        /// Entries of the log that the head covers; nil for all.
        var shown: Int?
        /// Whether every proof of consistency is spoilt on the way.
        var spoilsProofs = false
        /// Cards that are shown in the place of the listed ones.
        var forged: [ServerID: String] = [:]
        /// The code with which whoever registers is refused; nil for nobody.
        var refusing: String?
    }

    private let script: Mutex<Script>

    init(_ ids: [String], of id: String = "registry") throws {
        var identity = try Stranger(id, port: 7_700)
        try identity.commit(toNext: "second")
        script = Mutex(Script(identity: identity))
        try list(ids)
    }

    /// From now on the log lists these, and nobody before them.
    func list(_ ids: [String]) throws {
        let listed = try ids.map { try Stranger($0) }
        change {
            $0.listed = listed
            $0.departures = []
            $0.written = [:]
        }
    }

    /// The log goes on: these leave.
    func leave(_ ids: [String]) throws {
        let left = try ids.map { try Stranger($0) }
        change { script in
            script.departures.formUnion(script.listed.count..<(script.listed.count + left.count))
            script.listed += left
        }
    }

    /// The log goes on: these register.
    func add(_ ids: [String]) throws {
        let added = try ids.map { try Stranger($0) }
        change { $0.listed += added }
    }

    /// The log goes on with entries as they are.
    func write(_ entries: [RegistryLogEntry]) throws {
        let servers = try entries.map { try Stranger($0.server.rawValue) }
        change { script in
            for entry in entries.enumerated() { script.written[script.listed.count + entry.offset] = entry.element }
            script.listed += servers
        }
    }

    func change(_ body: (inout Script) throws -> Void) rethrows {
        try script.withLock { try body(&$0) }
    }

    func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8] {
        let script = script.withLock(\.self)
        guard request.method == "GET", let path = request.path.split(separator: "?").first else {
            guard let code = script.refusing else { return JSONValue.object([:]).serialized() }
            throw Refusal(.unavailable, code: code, reason: "it will not", remedy: "none")
        }
        switch path {
        case "/.well-known/aether-federation":
            let parts = script.identity.card.split(separator: ".").map { JSONValue.string(String($0)) }
            return JSONValue.object(["protected": parts[0], "payload": parts[1], "signature": parts[2]]).serialized()
        case "/v1/log/head":
            return JSONValue.object(["head": .string(script.head)]).serialized()
        case "/v1/log/consistency":
            guard let from = request.number("from"), let to = request.number("to"),
                let proof = script.tree.consistencyProof(from: from, to: to)
            else { break }
            let shown = script.spoilsProofs ? proof.map { MerkleHash.node($0, $0) } : proof
            return JSONValue.object(["proof": .array(shown.map { .string($0.description) })]).serialized()
        case "/v1/log/entries":
            return script.page(
                from: (request.number("after") ?? -1) + 1, limit: request.number("limit") ?? 1
            ).serialized()
        default:
            break
        }
        throw Refusal(.notFound, code: "test.unscripted", reason: "no answer to \(request.path)", remedy: "none")
    }
}

extension ScriptedRegistry.Script {
    private var entries: [RegistryLogEntry] {
        listed.enumerated().map { index, server in
            if let entry = written[index] { return entry }
            let isGone = departures.contains(index)
            return RegistryLogEntry(
                isGone ? .deregistered : .registered, server: server.id, key: server.keys.publicKey,
                commitment: server.commitment, sequence: server.sequence,
                card: isGone ? nil : ContentHash.of(Array(server.card.utf8)), time: ManualClock.start)
        }
    }

    fileprivate var tree: MerkleTree {
        var tree = MerkleTree()
        for entry in entries { tree.append(entry.leaf) }
        return tree
    }

    fileprivate var head: String {
        let size = shown ?? listed.count
        let root = tree.root(size: size) ?? MerkleHash.empty
        return TreeHead(issuer: identity.id, size: UInt64(size), root: root, issuedAt: ManualClock.start)
            .issue(by: identity.keys)
    }

    fileprivate func page(from first: Int, limit: Int) -> JSONValue {
        var page: [JSONValue] = []
        var cards: [String: JSONValue] = [:]
        for (index, entry) in entries.enumerated().dropFirst(first).prefix(limit) {
            page.append(.object(["index": .integer(Int64(index)), "entry": entry.json]))
            guard !departures.contains(index), written[index] == nil else { continue }
            cards[entry.server.rawValue] = .string(forged[entry.server] ?? listed[index].card)
        }
        return .object(["entries": .array(page), "cards": .object(cards)])
    }
}

extension RegistryRequest {
    /// The value of a parameter of the query.
    fileprivate func number(_ name: String) -> Int? {
        for parameter in path.split(separator: "?").last?.split(separator: "&") ?? [] {
            let parts = parameter.split(separator: "=")
            if parts.count == 2, parts[0] == name { return Int(parts[1]) }
        }
        return nil
    }
}
