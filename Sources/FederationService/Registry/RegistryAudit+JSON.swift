public import FederationCore
public import FederationCrypto
import FederationModel

/// What an audit leaves for the next one, as JSON. Others may read the head in it.
extension RegistryAudit {
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "registry": .string(registry.rawValue), "binding": binding.json,
            "size": .integer(Int64(frontier.count)),
            "hashes": .array(frontier.hashes.map { .string($0.description) }),
            "servers": .array(subjects.keys.sorted().compactMap { subjects[$0]?.json }),
        ]
        if let head { members["head"] = .string(head) }
        return .object(members)
    }

    /// Reads what ``json`` writes; nil for anything else.
    public init?(_ json: JSONValue) {
        guard let registry = json["registry"]?.text.flatMap({ ServerID(rawValue: $0) }),
            let binding = json["binding"].flatMap({ KeyBinding($0, of: registry) }),
            let size = json["size"]?.integer, let texts = json["hashes"]?.elements,
            let frontier = MerkleFrontier(
                count: Int(size), hashes: texts.compactMap { $0.text.flatMap { ContentHash($0) } }),
            let servers = json["servers"]?.elements
        else { return nil }
        var subjects: [ServerID: Subject] = [:]
        for server in servers {
            guard let id = server["id"]?.text.flatMap({ ServerID(rawValue: $0) }),
                let subject = Subject(server, of: id)
            else { return nil }
            subjects[id] = subject
        }
        self.init(
            registry: registry, binding: binding, head: json["head"]?.text, frontier: frontier, subjects: subjects)
    }
}

extension RegistryAudit.Subject {
    fileprivate var json: JSONValue {
        var members: [String: JSONValue] = [
            "id": .string(binding.server.rawValue), "binding": binding.json, "index": .integer(Int64(index)),
            "kind": .string(kind.rawValue), "sequence": .integer(Int64(clamping: sequence)),
        ]
        if let card { members["card"] = .string(card.description) }
        return .object(members)
    }

    fileprivate init?(_ json: JSONValue, of server: ServerID) {
        guard let binding = json["binding"].flatMap({ KeyBinding($0, of: server) }),
            let index = json["index"]?.integer,
            let kind = json["kind"]?.text.flatMap(RegistryLogEntry.Kind.init(rawValue:)),
            let sequence = json["sequence"]?.integer.flatMap({ UInt64(exactly: $0) })
        else { return nil }
        self.init(
            binding: binding, index: Int(index), kind: kind, card: json["card"]?.text.flatMap { ContentHash($0) },
            sequence: sequence)
    }
}

extension KeyBinding {
    fileprivate var json: JSONValue {
        var members: [String: JSONValue] = [
            "key": .string(key.description), "revocation": .integer(Int64(clamping: revocation)),
            "dead": .bool(isDead), "since": .integer(since.milliseconds),
            "retired": .array(
                retired.map {
                    .object(["key": .string($0.key.description), "until": .integer($0.until.milliseconds)])
                }),
        ]
        if let next = commitment.next { members["next"] = .string(next.description) }
        if let recovery = commitment.recovery { members["recovery"] = .string(recovery.description) }
        return .object(members)
    }

    fileprivate init?(_ json: JSONValue, of server: ServerID) {
        guard let key = json["key"]?.text.flatMap({ PublicKey($0) }),
            let revocation = json["revocation"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let isDead = json["dead"], let since = json["since"]?.integer, let old = json["retired"]?.elements
        else { return nil }
        let retired = old.compactMap { element -> RetiredKey? in
            guard let key = element["key"]?.text.flatMap({ PublicKey($0) }), let until = element["until"]?.integer
            else { return nil }
            return RetiredKey(key: key, until: Timestamp(milliseconds: until))
        }
        self.init(
            server: server, key: key,
            commitment: KeyCommitment(
                next: json["next"]?.text.flatMap { ContentHash($0) },
                recovery: json["recovery"]?.text.flatMap { ContentHash($0) }),
            retired: retired, revocation: revocation, isDead: isDead == .bool(true),
            since: Timestamp(milliseconds: since))
    }
}
