/// The address of a place in the federation: `aether://host[:port]/world[/zone][?spawn=x,y,z][&instance=id]`.
///
/// There is one grammar, on RFC 3986's: the scheme and the host in any case; no user information and no fragment; world
/// and zone are ``Identifier``s; the query has the two keys, in either order, each at most once. Percent-encoding is
/// decoded once, before anything is checked. At most ``Limits/urlBytes`` bytes of ASCII. ``description`` is the
/// canonical form: two URLs are equal exactly when their descriptions are.
public struct AetherURL: Hashable, Sendable, Codable, LosslessStringConvertible {
    /// The port of a server that names none.
    public static let defaultPort: UInt16 = 7_700

    public let host: Host
    /// 1 to 65535.
    public let port: UInt16
    public let world: WorldID
    /// The part of the world to arrive in; nil leaves it to the world.
    public let zone: ZoneID?
    /// Where to appear; nil leaves it to the world.
    public let spawn: SpawnPoint?
    /// The running copy of the world to join; nil leaves it to the server.
    public let instance: InstanceID?

    /// nil for port 0.
    public init?(
        host: Host, port: UInt16 = AetherURL.defaultPort, world: WorldID, zone: ZoneID? = nil, spawn: SpawnPoint? = nil,
        instance: InstanceID? = nil
    ) {
        guard port != 0 else { return nil }
        self.host = host
        self.port = port
        self.world = world
        self.zone = zone
        self.spawn = spawn
        self.instance = instance
    }

    public init?(_ description: String) {
        guard let url = try? Self.parse(description) else { return nil }
        self = url
    }

    /// The canonical form: lower case, no default port, `spawn` before `instance`, nothing percent-encoded.
    public var description: String {
        var text = "aether://\(host)"
        if port != Self.defaultPort { text += ":\(port)" }
        text += "/\(world)"
        if let zone { text += "/\(zone)" }
        var separator = "?"
        if let spawn {
            text += "?spawn=\(spawn)"
            separator = "&"
        }
        if let instance { text += "\(separator)instance=\(instance)" }
        return text
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do throws(Failure) {
            self = try Self.parse(text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: error.reason)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
