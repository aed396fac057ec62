/// A route as the routing table keeps it, without its portal: servers and worlds by number, because many routes share them.
struct RouteRow: Sendable {
    let source: UInt32
    let destination: UInt32
    let world: UInt32
    var isActive: Bool
    let hasSpawn: Bool
}
