import FederationCrypto
import FederationModel
import FederationService
import HTTPTypes
import Hummingbird

/// The server card, health, metrics and status.
extension FederationRoutes {
    var statusRoutes: [APIRoute] {
        [
            APIRoute(.get, "/.well-known/aether-federation", .everyone) { request, _ in try await card(request) },
            APIRoute(.get, "/healthz", .everyone) { _, _ in await health() },
            APIRoute(.get, "/metrics", metricsAccess.access) { _, _ in await metricsText() },
            APIRoute(.get, "/v1/status", .admin) { request, _ in
                _ = try Query(request, known: [])
                return .json(await server.summary().json)
            },
        ]
    }

    /// How long a card may be served from a cache, in seconds: a new one is valid at once, and the old one still is.
    private static let cardSeconds = 60

    private func card(_ request: Request) async throws -> Response {
        guard let card = await server.card() else {
            throw Refusal(
                .unavailable, code: "server.starting", reason: "this server has not made its card yet",
                remedy: "try again in a moment")
        }
        let isCompact = Self.wantsCompact(request)
        let bytes =
            isCompact ? Array(card.compact.utf8) : try Self.flattened(card.compact).serialized() + [0x0A]
        let tag = EntityTag(ContentHash.of(bytes))
        let headers: HTTPFields = [
            .eTag: tag.text, .cacheControl: "public, max-age=\(Self.cardSeconds)", .vary: "Accept",
        ]
        if tag.isNamed(byIfNoneMatch: request.headers[values: .ifNoneMatch]) {
            return Response(status: .notModified, headers: headers)
        }
        return .bytes(bytes, type: isCompact ? MediaType.jose : MediaType.joseJSON, headers: headers)
    }

    /// Whether the caller asks for `application/jose` by name. Everybody else gets JSON.
    private static func wantsCompact(_ request: Request) -> Bool {
        request.headers[values: .accept].contains { field in
            field.split(separator: ",").contains { range in
                range.split(separator: ";").first?.split(separator: " ").joined().lowercased() == MediaType.jose
            }
        }
    }

    /// A compact JWS in the flattened JSON form of RFC 7515 §7.2.2.
    static func flattened(_ compact: String) throws -> JSONValue {
        // By bytes: a card is ASCII, and finding where a character ends in Unicode takes many times as long.
        let parts = compact.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
        guard parts.count == 3 else {
            throw Refusal(
                .unavailable, code: "card.damaged", reason: "a stored server card is damaged",
                remedy: "register the server again")
        }
        return .object(["protected": .string(parts[0]), "payload": .string(parts[1]), "signature": .string(parts[2])])
    }

    /// For load balancers and people: whether this server can promise anything, and how many peers answer.
    private func health() async -> Response {
        let summary = await server.summary()
        let isWell = summary.storageFailure == nil
        let body: JSONValue = .object([
            "ok": .bool(isWell), "storage": .string(isWell ? "ok" : "failing"),
            "peers": .object([
                "known": .integer(Int64(summary.peers)), "trusted": .integer(Int64(summary.trustedPeers)),
                "healthy": .integer(Int64(summary.healthyPeers)),
            ]),
        ])
        return .json(body, status: isWell ? .ok : .serviceUnavailable)
    }

    /// What alerts are made of: `aether_peer_failing_seconds > 86400` is a peer that has failed for a day.
    private static func peerGauges(_ summary: ServerSummary) -> [PrometheusRegistry.GaugeFamily] {
        func family(_ name: String, _ label: String, _ values: [(String, Int)]) -> PrometheusRegistry.GaugeFamily {
            .init(name: name, samples: values.map { ([(label, $0.0)], Double($0.1)) })
        }
        let disconnected = max(0, summary.peers - summary.connectedPeers - summary.suspendedPeers)
        let unreachable = max(0, summary.peers - summary.healthyPeers - summary.degradedPeers)
        return [
            family(
                "aether_peers_by_state", "state",
                [
                    ("connected", summary.connectedPeers), ("disconnected", disconnected),
                    ("suspended", summary.suspendedPeers),
                ]),
            family(
                "aether_peers_by_health", "health",
                [
                    ("healthy", summary.healthyPeers), ("degraded", summary.degradedPeers),
                    ("unreachable", unreachable),
                ]),
            .init(
                name: "aether_peer_failing_seconds",
                samples: summary.failingPeers.map { ([("peer", $0.peer.rawValue)], $0.seconds.rounded()) }),
        ]
    }

    /// Both at 0 is well. By address: an operator names each.
    private static func registryGauges(_ sources: [RegistrySource]) -> [PrometheusRegistry.GaugeFamily] {
        func family(_ name: String, _ holds: (RegistrySource) -> Bool) -> PrometheusRegistry.GaugeFamily {
            .init(name: name, samples: sources.map { ([("registry", $0.address)], holds($0) ? 1 : 0) })
        }
        return [
            family("aether_registry_failing") { $0.lastError != nil },
            family("aether_registry_faulty") { $0.isFaulty },
        ]
    }

    private func metricsText() async -> Response {
        let summary = await server.summary()
        let gauges: [(String, Double)] = [
            ("aether_handoffs_open", Double(summary.openHandoffs)),
            ("aether_peers", Double(summary.peers)),
            ("aether_peers_healthy", Double(summary.healthyPeers)),
            ("aether_peers_trusted", Double(summary.trustedPeers)),
            ("aether_players", Double(summary.players)),
            ("aether_routes", Double(summary.routes)),
            ("aether_servers", Double(summary.servers)),
            ("aether_start_time_seconds", Double(summary.startedAt.milliseconds) / 1000),
            ("aether_storage_ok", summary.storageFailure == nil ? 1 : 0),
            ("aether_worlds", Double(summary.worlds)),
        ]
        let labelled = Self.peerGauges(summary) + Self.registryGauges(await server.sources())
        return .bytes(Array(metrics.text(gauges: gauges, labelled: labelled).utf8), type: MediaType.metrics)
    }
}

extension FederationRoutes.MetricsAccess {
    var access: APIRoute.Access {
        switch self {
        case .loopback: .localOrAdmin
        case .everyone: .everyone
        case .nobody: .admin
        }
    }
}
