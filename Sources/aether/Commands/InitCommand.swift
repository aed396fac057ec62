import ArgumentParser
import FederationCrypto
import FederationModel
import Foundation

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a new server: keys, admin key, configuration.")

    @Option(help: "This server's id: \(ServerID.grammar).")
    var id: String

    @Option(help: "Its name for people (else the id).")
    var name: String?

    @Option(help: ArgumentHelp("How others reach it (else ws://localhost:PORT).", valueName: "ws://host:port"))
    var endpoint: String?

    @Option(help: "The address to listen on.")
    var host = "0.0.0.0"

    @Option(help: "The port to listen on.")
    var port = Int(AetherURL.defaultPort)

    @Option(help: ArgumentHelp("Where to keep everything (else AETHER_DATA, else ~/.aether).", valueName: "dir"))
    var data: String?

    @Flag(help: "Print JSON instead of text.")
    var json = false

    func run() async throws {
        guard let id = ServerID(rawValue: id) else { throw ValidationError("--id '\(id)': \(ServerID.grammar)") }
        guard (1...65_535).contains(port) else { throw ValidationError("--port must be 1 to 65535") }
        let name = name ?? id.rawValue
        guard FederatedServer.isValidName(name) else {
            throw ValidationError("--name must be 1 to \(Limits.nameBytes) bytes of plain text")
        }
        guard let endpoint = Endpoint(endpoint ?? "ws://localhost:\(port)") else {
            throw ValidationError("--endpoint must be ws://host:port or wss://host:port")
        }
        let directory = ServerHome(data)
        // Shown before there is a server: one whose recovery key nobody has seen could never be taken back.
        try directory.initialise(
            configuration: ServerConfiguration(id: id, name: name, host: host, port: port, endpoint: endpoint)
        ) { recovery, identity in
            try print(json ? report(directory, endpoint, recovery, identity) : Self.text(of: recovery))
        }
        guard !json else { return }
        Terminal.say("\(Terminal.styled(id.rawValue, .bold)) is made in \(directory.path)")
        Terminal.say("  fingerprint  \(try directory.identity(id: id).publicKey.fingerprint)")
        Terminal.say("  endpoint     \(endpoint)")
        Terminal.say("  admin key    \(directory.adminKeyFile) (mode 0600)")
        Terminal.say("Start it with: aether serve --data \(directory.path)")
    }

    private func print(_ text: String) throws {
        if let failure = Terminal.put(text) { throw failure }
    }

    private static func text(of recovery: RecoveryCode) -> String {
        """
        Write this recovery key down and keep it away from this machine; it is shown only now:
          \(Terminal.styled(recovery.text, .bold))
        With it you take the server back when its keys are stolen: aether keys revoke
        """
    }

    private func report(
        _ directory: ServerHome, _ endpoint: Endpoint, _ recovery: RecoveryCode, _ identity: ServerIdentity
    ) -> String {
        jsonLine([
            "id": identity.id.rawValue, "data": directory.path, "endpoint": endpoint.description,
            "fingerprint": identity.publicKey.fingerprint, "publicKey": identity.publicKey.description,
            "recoveryKey": recovery.text,
        ])
    }
}
