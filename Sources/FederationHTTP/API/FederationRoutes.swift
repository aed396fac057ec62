import FederationModel
public import FederationService
import HTTPTypes
public import Hummingbird

/// The HTTP API of one server, as PROTOCOL.md describes it.
///
/// What changes anything, and what shows players, handoffs, tokens or peers, needs the admin key. Public are the server
/// card, `/healthz`, the registry's listing, worlds with their manifests, and assets by hash.
public struct FederationRoutes: Sendable {
    /// Who may read `/metrics` without the admin key.
    public enum MetricsAccess: Hashable, Sendable {
        /// Callers whose socket's address is a loopback one and who did not come through a proxy.
        case loopback
        case everyone
        case nobody
    }

    /// Who may register servers and send their heartbeats.
    public enum RegistryAccess: Hashable, Sendable {
        case admin
        /// Whoever holds the key that the card names: the signature is the permission. For public registries.
        case signed
    }

    let server: FederationServer
    let admin: AdminAuthenticator
    let metrics: PrometheusRegistry
    let metricsAccess: MetricsAccess
    let registryAccess: RegistryAccess
    let clock: any FederationClock
    let gate = RegistryGate()

    public init(
        server: FederationServer, admin: AdminAuthenticator, metrics: PrometheusRegistry,
        metricsAccess: MetricsAccess = .loopback, registryAccess: RegistryAccess = .admin,
        clock: any FederationClock = SystemClock()
    ) {
        self.server = server
        self.admin = admin
        self.metrics = metrics
        self.metricsAccess = metricsAccess
        self.registryAccess = registryAccess
        self.clock = clock
    }

    /// The router for an `Application`.
    public func makeRouter() -> Router<FederationRequestContext> {
        let routes = self.routes
        let router = Router(context: FederationRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.add(
            middleware: AnswerMiddleware(
                table: RouteTable(routes), metrics: metrics, clock: clock))
        for route in routes {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                try authorise(route.access, request, context)
                return try await route.answer(request, context)
            }
        }
        return router
    }

    /// Every route, grouped as PROTOCOL.md groups them.
    var routes: [APIRoute] {
        statusRoutes + registryRoutes + registryLogRoutes + keyRoutes + peerRoutes + trustRoutes + examinationRoutes
            + portalRoutes
            + worldRoutes + assetRoutes + playerRoutes
            + worldEventRoutes + reclaimRoutes + crossingRoutes + socketRoutes
    }

    func authorise(
        _ access: APIRoute.Access, _ request: Request, _ context: FederationRequestContext
    ) throws(Problem) {
        switch access {
        case .everyone:
            return
        case .localOrAdmin where isLocal(request, context):
            return
        case .admin, .localOrAdmin:
            let verdict = admin.check(request.headers, from: context.remote, at: clock.now().instant)
            guard let problem = verdict.problem else { return }
            // Further wrong keys of an address that has to wait would only fill the log.
            if verdict == .wrong {
                context.logger.warning(
                    "an admin key was refused",
                    metadata: ["remote": "\(context.remote.text)", "code": "\(problem.code)"])
            }
            throw problem
        }
    }

    /// Whether the caller is on this machine. A proxy on this machine is not its caller: what it forwards carries one of
    /// these headers.
    private func isLocal(_ request: Request, _ context: FederationRequestContext) -> Bool {
        context.remote.isLoopback
            && ![HTTPField.Name.forwarded, .xForwardedFor, .via].contains { request.headers.contains($0) }
    }

    /// WebSocket paths, for callers who forgot to upgrade.
    private var socketRoutes: [APIRoute] {
        ["/client", "/federation"].map { path in
            APIRoute(.get, path, .everyone) { _, _ in
                var problem = Problem(
                    .upgradeRequired, code: "websocket.required", "\(path) is a WebSocket",
                    remedy: "connect with a WebSocket client (RFC 6455)")
                problem.headers[.upgrade] = "websocket"
                throw problem
            }
        }
    }
}
