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
        let recovery = try directory.initialise(
            configuration: ServerConfiguration(id: id, name: name, host: host, port: port, endpoint: endpoint))
        let identity = try directory.identity(id: id)
        if json {
            Terminal.say(
                jsonLine([
                    "id": id.rawValue, "data": directory.path, "endpoint": endpoint.description,
                    "fingerprint": identity.publicKey.fingerprint, "publicKey": identity.publicKey.description,
                    "recoveryKey": recovery.text,
                ]))
            return
        }
        Terminal.say("\(Terminal.styled(id.rawValue, .bold)) is made in \(directory.path)")
        Terminal.say("  fingerprint  \(identity.publicKey.fingerprint)")
        Terminal.say("  endpoint     \(endpoint)")
        Terminal.say("  admin key    \(directory.adminKeyFile) (mode 0600)")
        Terminal.say("Write this recovery key down and keep it away from this machine; it is shown only now:")
        Terminal.say("  \(Terminal.styled(recovery.text, .bold))")
        Terminal.say("With it you take the server back when its keys are stolen: aether keys revoke")
        Terminal.say("Start it with: aether serve --data \(directory.path)")
    }
}
