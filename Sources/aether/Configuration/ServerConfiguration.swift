import FederationCore
import FederationHTTP
import FederationModel
import Foundation
import Logging

/// What `aether serve` runs with, once flags, environment and file are joined and checked.
struct ServerConfiguration {
    var id: ServerID
    var name: String
    /// The address to listen on.
    var host: String
    var port: Int
    /// How others reach this server.
    var endpoint: Endpoint
    var heartbeatInterval: Duration = .seconds(30)
    var degradedAfter = 3
    var unreachableAfter = 10
    /// Two: while a peer is on its way back its portals are open, and one answer does not say that it stays.
    var recoverySuccesses = 2
    /// Where names and strangers may lead this server.
    var network = AddressPolicy.publicOnly
    /// See ``NodeConfiguration/acceptTimeout``, ``NodeConfiguration/arrivalTimeout``, ``NodeConfiguration/handoffRetention``.
    var acceptTimeout = Limits.acceptTimeout
    var arrivalTimeout = Limits.arrivalTimeout
    var handoffRetention = Limits.handoffRetention
    var logLevel: Logger.Level = .info
    /// Paths of PEM files; both or none.
    var tlsCertificate: String?
    var tlsKey: String?
    /// PEM file with the roots that are trusted, instead of the system's, when dialling `wss://` and `https://`.
    var tlsTrustRoots: String?
    /// Whether suites without ML-KEM are allowed.
    var allowsClassicalSuites = false
    /// Whether strangers may register here.
    var servesRegistry = false
    /// See ``NodeConfiguration/registeredServers``.
    var registeredServers = Limits.registeredServers
    /// See ``NodeConfiguration/listedServers``.
    var listedServers = Limits.listedServers
    /// The registries to use: `http://host:port` or `https://host:port`, none twice.
    var registries: [String] = []
    /// See ``NodeConfiguration/addresses``.
    var addresses: [ServerID: Endpoint] = [:]
    /// Added to the wall clock, to rehearse what a wrong clock does.
    var clockOffset: Duration = .zero
    /// The bounds of the port; its connections are lowered to what the process may open.
    var listener = ListenerLimits()

    /// The configuration file that `aether init` writes: what an operator will want to change.
    var fileText: String {
        let object: [String: Any] = [
            "id": id.rawValue, "name": name, "endpoint": endpoint.description,
            "listen": ["host": host, "port": port],
            "heartbeat": [
                "intervalSeconds": Double(heartbeatInterval.clampedNanoseconds) / 1e9, "degradedAfter": degradedAfter,
                "unreachableAfter": unreachableAfter,
            ],
            "logLevel": logLevel.rawValue,
        ]
        let data = try? JSONSerialization.data(
            withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        return String(decoding: data ?? Data(), as: UTF8.self) + "\n"
    }

    func healthThresholds() throws -> HealthThresholds {
        do {
            return try HealthThresholds(
                degraded: degradedAfter, unreachable: unreachableAfter, interval: heartbeatInterval,
                recovery: recoverySuccesses)
        } catch {
            throw error.refusal
        }
    }
}
