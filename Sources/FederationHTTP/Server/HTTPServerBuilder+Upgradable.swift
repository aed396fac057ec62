public import FederationModel
public import Hummingbird
public import HummingbirdCore
import HummingbirdTLS
public import Metrics

extension HTTPServerBuilder {
    /// A server whose one port speaks HTTP/1.1 and opens WebSockets on `routes`.
    ///
    /// - Throws: A ``Refusal`` when a file of `tls` cannot be used.
    public static func upgradable(
        routes: [WebSocketRoute], limits: ListenerLimits = ListenerLimits(), tls: ListenerTLS? = nil,
        metrics: any MetricsFactory = MetricsSystem.factory
    ) throws(Refusal) -> HTTPServerBuilder {
        var byPath: [String: WebSocketRoute] = [:]
        for route in routes {
            precondition(byPath[route.path] == nil, "two WebSockets cannot share a path")
            byPath[route.path] = route
        }
        let connections = OpenConnections(limits)
        let newcomers = Newcomers(perAddress: limits.newcomersPerAddress)
        let base = HTTPServerBuilder { [byPath] responder in
            UpgradableServerChannel(
                responder: responder, routes: byPath, limits: limits, connections: connections, newcomers: newcomers,
                metrics: PortMetrics(factory: metrics))
        }
        guard let tls else { return base }
        do {
            return try .tls(base, tlsConfiguration: tls.configuration())
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Refusal(
                .invalid, code: "tls.unusable", reason: "TLS was refused: the key does not fit the certificate",
                remedy: "check that both files belong together")
        }
    }
}

extension ApplicationConfiguration {
    /// The address to listen on. Connections beyond ``ListenerLimits/connections`` are accepted to be counted and closed, a few
    /// at a time.
    public static func listener(
        host: String, port: Int, limits: ListenerLimits = ListenerLimits()
    ) -> ApplicationConfiguration {
        ApplicationConfiguration(
            address: .hostname(host, port: port), serverName: "aether",
            availableConnectionsDelegate: MaximumAvailableConnections(
                limits.connections + ListenerLimits.turnedAwayAtOnce))
    }
}
