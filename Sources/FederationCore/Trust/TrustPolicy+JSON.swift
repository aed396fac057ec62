public import FederationCrypto
public import FederationModel

/// The policy as JSON, the same in the store and in the API: what is off is left out.
extension TrustPolicy {
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "allow": .array(allow.map { .string($0.description) }),
            "deny": .array(deny.map { .string($0.description) }), "introduces": .bool(introduces),
        ]
        if let registryListed { members["registryListed"] = .object(["scopes": registryListed.json]) }
        if let introducedBy {
            members["introducedBy"] = .object([
                "count": .integer(Int64(introducedBy.count)), "scopes": introducedBy.scopes.json,
            ])
        }
        if let firstUse { members["firstUse"] = .object(["scopes": firstUse.json]) }
        return .object(members)
    }

    /// Reads a policy strictly: a name that is not known, a value of another type, a scope that does not exist or a bound that is
    /// passed refuses the whole.
    ///
    /// - Throws: `policy.invalid`, with the place.
    public init(json: JSONValue) throws(Refusal) {
        let members = try Self.members(
            json, "the policy", ["allow", "deny", "registryListed", "introducedBy", "firstUse", "introduces"])
        self.init(
            allow: try Self.patterns(members["allow"], "allow"), deny: try Self.patterns(members["deny"], "deny"),
            registryListed: try Self.grant(members["registryListed"], "registryListed"),
            introducedBy: try Self.introduced(members["introducedBy"]),
            firstUse: try Self.grant(members["firstUse"], "firstUse"))
        switch members["introduces"] {
        case nil: break
        case .bool(let introduces)?: self.introduces = introduces
        case .some: throw Self.invalid("introduces is not true or false", "use true or false")
        }
    }

    private static func patterns(_ value: JSONValue?, _ name: String) throws(Refusal) -> [TrustPattern] {
        guard let value else { return [] }
        guard let elements = value.elements else { throw invalid("\(name) is not a list", "use a list of patterns") }
        guard elements.count <= Limits.policyPatterns else {
            throw invalid("\(name) has more than \(Limits.policyPatterns) patterns", "use * to say it with fewer")
        }
        var patterns: [TrustPattern] = []
        var seen: Set<TrustPattern> = []
        for (index, element) in elements.enumerated() {
            guard let text = element.text, let pattern = TrustPattern(text) else {
                throw invalid("\(name)[\(index)] is not a pattern", "use \(TrustPattern.grammar)")
            }
            if seen.insert(pattern).inserted { patterns.append(pattern) }
        }
        return patterns
    }

    private static func grant(_ value: JSONValue?, _ name: String) throws(Refusal) -> PeerScopes? {
        guard let value, value != .null else { return nil }
        let members = try members(value, name, ["scopes"])
        return try scopes(members["scopes"], name)
    }

    private static func introduced(_ value: JSONValue?) throws(Refusal) -> Introduced? {
        guard let value, value != .null else { return nil }
        let members = try members(value, "introducedBy", ["count", "scopes"])
        guard let count = members["count"]?.integer, (1...Int64(Limits.introducers)).contains(count) else {
            throw invalid(
                "introducedBy.count is not a number from 1 to \(Limits.introducers)", "say how many peers are enough")
        }
        return Introduced(count: Int(count), scopes: try scopes(members["scopes"], "introducedBy"))
    }

    private static func scopes(_ value: JSONValue?, _ name: String) throws(Refusal) -> PeerScopes {
        guard let value else { return .all }
        let scopes = try PeerScopes(json: value)
        guard !scopes.isEmpty else {
            throw invalid("\(name).scopes is empty", "leave \(name) out to trust none for that")
        }
        return scopes
    }

    private static func members(
        _ value: JSONValue, _ name: String, _ known: [String]
    ) throws(Refusal) -> [String: JSONValue] {
        guard let members = value.members else { throw invalid("\(name) is not an object", "use an object") }
        if members.keys.contains(where: { !known.contains($0) }) {
            throw invalid("\(name) has a member that is not known", "use \(known.joined(separator: ", "))")
        }
        return members
    }

    private static func invalid(_ reason: String, _ remedy: String) -> Refusal {
        Refusal(.invalid, code: "policy.invalid", reason: reason, remedy: remedy)
    }
}

extension PeerScopes {
    /// A list of names in a fixed order.
    public var json: JSONValue { .array(names.map(JSONValue.string)) }

    /// Reads a list of names, each once.
    ///
    /// - Throws: `scopes.invalid`, `scopes.heartbeatMissing`.
    public init(json: JSONValue) throws(Refusal) {
        let names = json.elements?.map(\.text) ?? [nil]
        var scopes: PeerScopes = []
        for name in names {
            guard let scope = Self.named.first(where: { $0.name == name })?.scope, scopes.insert(scope).inserted else {
                throw Refusal(
                    .invalid, code: "scopes.invalid", reason: "the scopes are not a list of scopes, each once",
                    remedy: "use \(Self.named.map(\.name).joined(separator: ", "))")
            }
        }
        if let problem = scopes.problem { throw problem }
        self = scopes
    }
}

/// As it is stored: the JSON, in its one form.
extension TrustPolicy: LosslessStringConvertible {
    public init?(_ description: String) {
        guard let value = try? JSONValue.parse(Array(description.utf8)), let policy = try? TrustPolicy(json: value)
        else { return nil }
        self = policy
    }

    public var description: String { json.serializedText() }
}
