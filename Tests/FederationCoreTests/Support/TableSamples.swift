import FederationModel
import Testing

/// What the tests of the tables are filled with.
enum TableSamples {
    /// Well-formed by its text; the tests use short literals.
    static func id(_ text: String) -> ServerID { ServerID(unchecked: text) }

    static func portal(_ text: String) -> PortalID { PortalID(unchecked: text) }

    /// A key that is acceptable: y = 3 and up is canonical and, for small numbers beyond 1, of large order.
    static func key(_ number: UInt8) -> PublicKey {
        guard let key = PublicKey(bytes: [number &+ 3] + [UInt8](repeating: 1, count: 31)) else {
            preconditionFailure("32 bytes are a key")
        }
        return key
    }

    static func endpoint(_ text: String = "ws://example.org") -> Endpoint {
        guard let endpoint = Endpoint(text) else { preconditionFailure("\(text) is an endpoint") }
        return endpoint
    }

    static func server(
        _ id: String, name: String = "A server", endpoint: Endpoint = endpoint(), key: PublicKey = key(1),
        sequence: UInt64 = 1, status: ServerStatus = .offline, heartbeat: Int64? = nil
    ) -> FederatedServer {
        FederatedServer(
            id: ServerID(unchecked: id), name: name, endpoint: endpoint, publicKey: key,
            registeredAt: Timestamp(milliseconds: 1_000), lastHeartbeat: heartbeat.map(Timestamp.init(milliseconds:)),
            status: status, recordSequence: sequence)
    }

    static func route(
        _ portal: String, from source: String = "home", to destination: String = "away", world: String = "plaza",
        spawn: SpawnPoint? = nil, isActive: Bool = true
    ) -> PortalRoute {
        PortalRoute(
            portal: PortalID(unchecked: portal), source: ServerID(unchecked: source),
            destination: ServerID(unchecked: destination), world: WorldID(unchecked: world), spawn: spawn,
            isActive: isActive)
    }

    /// So many seconds after the clock's start.
    static func at(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }
}
