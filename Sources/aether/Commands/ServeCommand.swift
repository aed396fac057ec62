import ArgumentParser
import Configuration
import FederationCore
import FederationModel
import FederationSQLite
import Foundation
import Logging

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run a server.",
        discussion: """
            Settings come from flags, then from the environment (AETHER_LISTEN_PORT for listen.port, and so on), then \
            from aether.json in the data directory.
            """)

    @Option(help: ArgumentHelp("The data directory (else AETHER_DATA, else ~/.aether).", valueName: "dir"))
    var data: String?

    @Option(help: "The address to listen on.")
    var host: String?

    @Option(help: "The port to listen on.")
    var port: Int?

    @Option(help: "How others reach this server: ws://host:port or wss://host:port.")
    var endpoint: String?

    @Option(help: "The server's name for people.")
    var name: String?

    @Option(help: "Seconds between heartbeats to each peer.")
    var heartbeatInterval: Double?

    @Option(help: "Missed heartbeats until a peer is Degraded.")
    var degradedAfter: Int?

    @Option(help: "Missed heartbeats until a peer is Unreachable.")
    var unreachableAfter: Int?

    @Flag(help: "Let names and strangers lead to loopback, private and link-local addresses.")
    var allowPrivateAddresses = false

    @Option(help: "PEM file with the certificate chain, for wss://.")
    var tlsCertificate: String?

    @Option(help: "PEM file with the certificate's key.")
    var tlsKey: String?

    @Option(help: "PEM file with the roots to trust, instead of the system's, when dialling wss:// and https://.")
    var tlsTrustRoots: String?

    @Option(help: "Seconds added to the wall clock: a rehearsal of what a wrong clock does.")
    var clockOffset: Double?

    @Flag(help: "Be a registry: let everybody register servers here who can prove what they are.")
    var registry = false

    @Option(help: ArgumentHelp("A registry to use; may be repeated.", valueName: "http://host:port"))
    var registryUrl: [String] = []

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: String?

    @Flag(help: "Explain what is wrong with the configuration, and stop.")
    var check = false

    @Flag(help: .hidden)
    var endWithInput = false

    @Option(help: .hidden)
    var clockFile: String?

    func validate() throws {
        if let port, !(0...65_535).contains(port) { throw ValidationError("--port must be 0 to 65535") }
        if let endpoint, Endpoint(endpoint) == nil {
            throw ValidationError("--endpoint must be ws://host:port or wss://host:port")
        }
        if let logLevel, Logger.Level(rawValue: logLevel) == nil {
            throw ValidationError("--log-level must be trace, debug, info, notice, warning, error or critical")
        }
    }

    func run() async throws {
        let home = ServerHome(data)
        let loader = ConfigurationLoader(file: home.configurationFile, flags: flags)
        if check { return try await check(loader, home) }
        try home.requireInitialised()
        let configuration = try await loader.load()
        LoggingSystem.bootstrap { label in StreamLogHandler.standardError(label: label) }
        var logger = Logger(label: "aether.\(configuration.id)")
        logger.logLevel = configuration.logLevel
        try await RunningServer(
            configuration: configuration, home: home, logger: logger, endsWithInput: endWithInput, clockFile: clockFile
        ).run()
    }

    private func check(_ loader: ConfigurationLoader, _ home: ServerHome) async throws {
        try home.requireInitialised()
        var problems = await loader.problems()
        func check(_ part: () async throws -> Void) async {
            do { try await part() } catch { problems.append("\(error)") }
        }
        await check { _ = try home.adminHash() }
        let id = (try? await loader.load())?.id ?? ServerID(unchecked: "self")
        await check {
            guard let noted = try await SQLiteStore.notedKeys(in: home.path) else { return }
            try KeyFiles(home: home, id: id).check(noted)
        }
        if problems.isEmpty { await check { try RunningServer.checkTLS(try await loader.load()) } }
        guard problems.isEmpty else {
            for problem in problems { Terminal.error("aether: \(problem)") }
            throw ExitCode(1)
        }
        Terminal.say("The configuration is good.")
    }

    private var flags: [String: ConfigValue] {
        var flags: [String: ConfigValue] = [:]
        func set(_ key: String, _ value: String?) {
            flags[key] = value.map { ConfigValue(.string($0), isSecret: false) }
        }
        set("listen.host", host)
        set("listen.port", port.map(String.init))
        set("endpoint", endpoint)
        set("name", name)
        set("heartbeat.intervalSeconds", heartbeatInterval.map { "\($0)" })
        set("heartbeat.degradedAfter", degradedAfter.map(String.init))
        set("heartbeat.unreachableAfter", unreachableAfter.map(String.init))
        set("tls.certificate", tlsCertificate)
        set("tls.key", tlsKey)
        set("tls.trustRoots", tlsTrustRoots)
        set("clock.offsetSeconds", clockOffset.map { "\($0)" })
        set("logLevel", logLevel)
        if allowPrivateAddresses { flags["network.allowPrivate"] = ConfigValue(.bool(true), isSecret: false) }
        if registry { flags["registry.serve"] = ConfigValue(.bool(true), isSecret: false) }
        if !registryUrl.isEmpty { flags["registries"] = ConfigValue(.stringArray(registryUrl), isSecret: false) }
        return flags
    }
}
