public import FederationModel

/// Why a server is trusted.
public enum TrustSource: Hashable, Sendable {
    /// The operator has added it by hand.
    case pinned
    /// A registry lists it, and the policy trusts those; the registry's address.
    case registry(String)
    /// So many trusted peers have introduced it that the policy believes them; their ids, sorted.
    case introduced([ServerID])
    /// It came and was believed.
    case firstUse
}

/// As it is stored and shown: `pinned`, `registry:URL`, `introduced:a,b`, `firstUse`.
extension TrustSource: LosslessStringConvertible {
    public init?(_ description: String) {
        let parts = description.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        switch (parts.first.map(String.init), parts.count) {
        case ("pinned", 1): self = .pinned
        case ("firstUse", 1): self = .firstUse
        case ("registry", 2): self = .registry(String(parts[1]))
        case ("introduced", 2):
            let ids = parts[1].split(separator: ",", omittingEmptySubsequences: false).map {
                ServerID(rawValue: String($0))
            }
            guard !ids.contains(nil) else { return nil }
            self = .introduced(ids.compactMap(\.self))
        default: return nil
        }
    }

    /// Which reason it is, without the details.
    public var kind: String {
        switch self {
        case .pinned: "pinned"
        case .registry: "registry"
        case .introduced: "introduced"
        case .firstUse: "firstUse"
        }
    }

    public var description: String {
        switch self {
        case .pinned: "pinned"
        case .registry(let address): "registry:\(address)"
        case .introduced(let servers): "introduced:\(servers.map(\.rawValue).joined(separator: ","))"
        case .firstUse: "firstUse"
        }
    }
}
