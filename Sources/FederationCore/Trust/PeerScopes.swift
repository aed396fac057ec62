/// What a trusted peer may do here.
public struct PeerScopes: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Keep a channel and exchange heartbeats. Without it nothing else is possible.
    public static let heartbeat = PeerScopes(rawValue: 1)
    /// Be told of this server's worlds, so that portals can lead here.
    public static let route = PeerScopes(rawValue: 2)
    /// Fetch assets.
    public static let assets = PeerScopes(rawValue: 4)
    /// Hand players in.
    public static let handoff = PeerScopes(rawValue: 8)

    public static let all: PeerScopes = [.heartbeat, .route, .assets, .handoff]

    /// Each scope by its name, in a fixed order.
    public static let named: [(name: String, scope: PeerScopes)] = [
        ("heartbeat", .heartbeat), ("route", .route), ("assets", .assets), ("handoff", .handoff),
    ]
}

/// As it is stored and shown: the names with commas between; `none` for none.
extension PeerScopes: LosslessStringConvertible {
    public init?(_ description: String) {
        var scopes: PeerScopes = []
        if description != "none" {
            for name in description.split(separator: ",", omittingEmptySubsequences: false) {
                guard let found = Self.named.first(where: { $0.name == name }) else { return nil }
                scopes.insert(found.scope)
            }
        }
        self = scopes
    }

    public var names: [String] { Self.named.filter { contains($0.scope) }.map(\.name) }

    public var description: String { names.isEmpty ? "none" : names.joined(separator: ",") }
}
