import Configuration
import FederationHTTP
import FederationModel
import Foundation
import Logging
import SystemPackage

/// Joins flags, environment variables (`AETHER_…`) and the file, in that order, and says of each problem where it is.
struct ConfigurationLoader {
    /// Every key, with what it is and what it means: the reference of `aether serve --check` and of the README.
    static let keys: [(key: String, kind: SettingsFile.Kind, meaning: String)] = [
        ("id", .text, "this server's id"),
        ("name", .text, "this server's name for people"),
        ("endpoint", .text, "how others reach it: ws://host:port or wss://host:port"),
        ("listen.host", .text, "the address to listen on"),
        ("listen.port", .number, "the port to listen on"),
        ("listen.connections", .number, "connections open at one time, 1 to 1000000"),
        (
            "listen.connectionsPerAddress", .number,
            "connections open at one time from one address (IPv6: /64), this machine's own aside, 1 to 1000000"
        ),
        ("heartbeat.intervalSeconds", .number, "seconds between heartbeats to each peer, 0.05 to 3600"),
        ("heartbeat.degradedAfter", .number, "missed heartbeats until a peer is Degraded"),
        ("heartbeat.unreachableAfter", .number, "missed heartbeats until a peer is Unreachable"),
        (
            "heartbeat.recoverySuccesses", .number,
            "answers in a row until a peer that was Degraded or Unreachable is Healthy again (2)"
        ),
        (
            "network.allowPrivate", .truth,
            "true lets names and strangers lead to loopback, private and link-local addresses"
        ),
        (
            "handoff.acceptSeconds", .number,
            "how long a destination may take to accept a player, besides 4 round trips, 0.01 to 60"
        ),
        ("handoff.arrivalSeconds", .number, "how long a world may take to say whether a player may enter, 0.01 to 60"),
        ("handoff.retentionHours", .number, "how long crossings that are over are kept, 0.001 to 87600"),
        ("logLevel", .text, "trace, debug, info, notice, warning, error or critical"),
        ("tls.certificate", .text, "PEM file with the certificate chain"),
        ("tls.key", .text, "PEM file with the certificate's private key"),
        ("tls.trustRoots", .text, "PEM file with the roots to trust, not the system's, when dialling"),
        ("suites.allowClassical", .truth, "true allows cipher suites without ML-KEM"),
        ("registry.serve", .truth, "true lets everybody register servers here, and logs it"),
        ("registry.maximumServers", .number, "how many ids strangers may register here"),
        ("registry.maximumListed", .number, "how many ids each registry in 'registries' may bring here"),
        ("dial", .list, "where to reach certain peers, whatever their cards say: a list of ID=ws://host:port"),
        ("registries", .list, "addresses of registries to use: a list of http://host:port or https://host:port"),
        ("clock.offsetSeconds", .number, "added to the wall clock, for rehearsals"),
    ]

    let file: String
    let flags: [String: ConfigValue]

    /// Everything that is wrong, one line each; empty when the configuration is good.
    func problems() async -> [String] {
        do {
            _ = try await load()
            return []
        } catch let problems as Problems {
            return problems.lines
        } catch {
            return ["\(error)"]
        }
    }

    struct Problems: Error, CustomStringConvertible {
        let lines: [String]

        var description: String {
            "the configuration is refused: \(lines.joined(separator: "; ")) — mend it, then: aether serve --check"
        }
    }

    /// `tls.trustRoots` alone, for what needs no server; the other settings may be as they like.
    func trustRoots() async throws -> String? {
        var found = try await inputs()
        let roots = found.readableFile("tls.trustRoots")
        found.problems += found.settings.problems.filter { $0.key == "tls.trustRoots" }.map(\.line)
        guard found.problems.isEmpty else { throw Problems(lines: found.problems) }
        return roots
    }

    private func inputs() async throws -> Inputs {
        let kinds = Dictionary(uniqueKeysWithValues: Self.keys.map { ($0.key, $0.kind) })
        let settings = SettingsFile(file, kinds: kinds)
        if let failure = settings.failure { throw Problems(lines: [failure]) }
        do {
            let fileProvider = try await FileProvider<JSONSnapshot>(filePath: FilePath(file), allowMissing: true)
            return Inputs(
                reader: ConfigReader(providers: [
                    InMemoryProvider(
                        name: "flags",
                        values: Dictionary(
                            uniqueKeysWithValues: flags.map {
                                (AbsoluteConfigKey($0.key.split(separator: ".").map(String.init)), $0.value)
                            })),
                    EnvironmentVariablesProvider().prefixKeys(with: "aether"),
                    fileProvider,
                ]), settings: settings)
        } catch {
            // What the provider cannot hold is no value of a setting either, and is told by its key.
            let lines = settings.problems.map(\.line)
            throw Problems(
                lines: lines.isEmpty ? ["\(file) cannot be read: \(oneLine("\(error)").prefix(200))"] : lines)
        }
    }

    func load() async throws -> ServerConfiguration {
        var found = try await inputs()
        let id = found.parsed("id", { ServerID(rawValue: $0) }, expected: ServerID.grammar)
        let endpoint = found.parsed("endpoint", { Endpoint($0) }, expected: "ws://host:port or wss://host:port")
        let port = found.int("listen.port", in: 0...65_535) ?? Int(endpoint?.port ?? AetherURL.defaultPort)
        let host = found.string("listen.host") ?? "0.0.0.0"
        if host.isEmpty { found.problems.append("listen.host is empty: an address of this machine, or 0.0.0.0") }
        let name = found.string("name") ?? id?.rawValue ?? "?"
        if !FederatedServer.isValidName(name) {
            found.problems.append("name: 1 to \(Limits.nameBytes) bytes of plain text")
        }
        let interval = found.double("heartbeat.intervalSeconds", in: 0.05...3_600) ?? 30
        let degraded = found.int("heartbeat.degradedAfter", in: 1...1_000) ?? 3
        let unreachable = found.int("heartbeat.unreachableAfter", in: 2...10_000) ?? 10
        let recovery = found.int("heartbeat.recoverySuccesses", in: 1...1_000) ?? 2
        if degraded >= unreachable {
            found.problems.append(
                "heartbeat.degradedAfter (\(degraded)) must be less than unreachableAfter (\(unreachable))")
        }
        let accept = found.double("handoff.acceptSeconds", in: 0.01...60).map(Duration.init(fractional:))
        let arrival = found.double("handoff.arrivalSeconds", in: 0.01...60).map(Duration.init(fractional:))
        let retention = found.double("handoff.retentionHours", in: 0.001...87_600).map {
            Duration(fractional: $0 * 3_600)
        }
        let level = found.parsed("logLevel", { Logger.Level(rawValue: $0) }, expected: "a log level", isRequired: false)
        let certificate = found.readableFile("tls.certificate")
        let key = found.readableFile("tls.key")
        let roots = found.readableFile("tls.trustRoots")
        if (certificate == nil) != (key == nil) { found.problems.append("tls.certificate and tls.key go together") }
        if let endpoint, endpoint.isSecure, certificate == nil, !found.isBehindProxy {
            found.problems.append(
                "endpoint is wss:// but there is no tls.certificate (set listen.host to 127.0.0.1 behind a TLS proxy)")
        }
        let classical = found.bool("suites.allowClassical") ?? false
        let allowsPrivate = found.bool("network.allowPrivate") ?? false
        let offset = found.double("clock.offsetSeconds", in: -86_400...86_400) ?? 0
        let serves = found.bool("registry.serve") ?? false
        let registered = found.int("registry.maximumServers", in: 1...1_000_000) ?? Limits.registeredServers
        let listed = found.int("registry.maximumListed", in: 1...1_000_000) ?? Limits.listedServers
        var listener = ListenerLimits()
        if let most = found.int("listen.connections", in: 1...1_000_000) { listener.connections = most }
        if let most = found.int("listen.connectionsPerAddress", in: 1...1_000_000) {
            listener.connectionsPerAddress = most
        }
        let registries = found.registries()
        let addresses = found.addresses()
        let problems = found.settings.problems.map(\.line) + found.problems
        guard problems.isEmpty, let id, let endpoint else { throw Problems(lines: problems) }
        return ServerConfiguration(
            id: id, name: name, host: host, port: port, endpoint: endpoint,
            heartbeatInterval: Duration(fractional: interval), degradedAfter: degraded,
            unreachableAfter: unreachable, recoverySuccesses: recovery,
            network: AddressPolicy(allowsPrivate: allowsPrivate), acceptTimeout: accept ?? Limits.acceptTimeout,
            arrivalTimeout: arrival ?? Limits.arrivalTimeout,
            handoffRetention: retention ?? Limits.handoffRetention, logLevel: level ?? .info,
            tlsCertificate: certificate, tlsKey: key,
            tlsTrustRoots: roots, allowsClassicalSuites: classical, servesRegistry: serves,
            registeredServers: registered, listedServers: listed,
            registries: registries, addresses: addresses, clockOffset: Duration(fractional: offset), listener: listener)
    }
}

extension Duration {
    /// Of a number of seconds that was checked to be in range.
    fileprivate init(fractional seconds: Double) {
        self = .nanoseconds(Int64(seconds * 1e9))
    }
}

/// Settings as they are read, and what was wrong with them.
private struct Inputs {
    let reader: ConfigReader
    /// What is wrong with the file by itself.
    let settings: SettingsFile
    var problems: [String] = []

    init(reader: ConfigReader, settings: SettingsFile) {
        self.reader = reader
        self.settings = settings
    }

    /// Whether the file holds something under this key that is said to be wrong already.
    private func isTold(_ key: String) -> Bool { settings.wrongKeys.contains(key) }

    func string(_ key: String) -> String? { reader.string(forKey: ConfigKey(key)) }

    /// Whether only this machine can reach the listener, as behind a proxy that ends TLS.
    var isBehindProxy: Bool { ["127.0.0.1", "::1", "localhost"].contains(string("listen.host") ?? "") }

    mutating func parsed<Value>(
        _ key: String, _ parse: (String) -> Value?, expected: String, isRequired: Bool = true
    ) -> Value? {
        guard let text = string(key) else {
            if isRequired, !isTold(key) { problems.append("\(key) is missing: \(expected)") }
            return nil
        }
        guard let value = parse(text) else {
            problems.append("\(key) '\(text.prefix(80))' is refused: \(expected)")
            return nil
        }
        return value
    }

    mutating func int(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = number(key) else { return nil }
        guard let whole = Int(exactly: value), range.contains(whole) else {
            problems.append("\(key) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return whole
    }

    mutating func bool(_ key: String) -> Bool? {
        guard !isTold(key) else { return nil }
        if let value = reader.bool(forKey: ConfigKey(key)) { return value }
        if let text = string(key) {
            problems.append("\(key) must be true or false, not '\(text.prefix(40))'")
        }
        return nil
    }

    /// Where certain peers are reached: `ID=ws://host:port`.
    mutating func addresses() -> [ServerID: Endpoint] {
        guard let texts = reader.stringArray(forKey: "dial") else { return [:] }
        var addresses: [ServerID: Endpoint] = [:]
        for text in texts {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, let id = ServerID(rawValue: parts[0]), let endpoint = Endpoint(parts[1]) else {
                problems.append("dial: '\(text.prefix(80))' is refused: ID=ws://host:port or ID=wss://host:port")
                continue
            }
            addresses[id] = endpoint
        }
        return addresses
    }

    /// The addresses of registries, each as ``Endpoint/httpBase`` writes it.
    mutating func registries() -> [String] {
        guard let texts = reader.stringArray(forKey: "registries") else { return [] }
        var addresses: [String] = []
        for text in texts {
            guard let address = Self.registry(text) else {
                problems.append("registries: '\(text.prefix(80))' is refused: http://host:port or https://host:port")
                continue
            }
            if !addresses.contains(address) { addresses.append(address) }
        }
        if addresses.count > Limits.registries {
            problems.append("registries: at most \(Limits.registries) can be used at once")
        }
        return addresses
    }

    private static func registry(_ text: String) -> String? {
        for (scheme, socket) in [("http://", "ws://"), ("https://", "wss://")] where text.hasPrefix(scheme) {
            return Endpoint(socket + text.dropFirst(scheme.count))?.httpBase
        }
        return nil
    }

    mutating func double(_ key: String, in range: ClosedRange<Double>) -> Double? {
        guard let value = number(key) else { return nil }
        guard range.contains(value) else {
            problems.append("\(key) must be from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return value
    }

    /// A number, whichever way the provider holds it; what is there and is none is a problem.
    private mutating func number(_ key: String) -> Double? {
        // A provider reads true as 1.
        guard !isTold(key) else { return nil }
        let key = ConfigKey(key)
        if let value = reader.double(forKey: key) { return value }
        if let value = reader.int(forKey: key) { return Double(value) }
        if let text = reader.string(forKey: key) {
            guard let value = Double(text) else {
                problems.append("\(key) '\(text.prefix(40))' is not a number")
                return nil
            }
            return value
        }
        return nil
    }

    mutating func readableFile(_ key: String) -> String? {
        guard let path = string(key) else { return nil }
        guard !path.isEmpty else {
            // To go on without it would serve in the clear, or trust others than was meant.
            problems.append("\(key) is empty: name a PEM file, or leave the setting out")
            return nil
        }
        guard FileManager.default.isReadableFile(atPath: path) else {
            problems.append("\(key): \(path) cannot be read")
            return nil
        }
        return path
    }
}
