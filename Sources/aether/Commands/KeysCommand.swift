import ArgumentParser
import FederationCrypto
import FederationModel

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Show this server's public key.", subcommands: [Show.self],
        defaultSubcommand: Show.self)

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the fingerprint to read to another operator, and the public key.")

        @Option(help: ArgumentHelp("The data directory (else AETHER_DATA, else ~/.aether).", valueName: "dir"))
        var data: String?

        @Flag(help: "Print JSON instead of text.")
        var json = false

        func run() async throws {
            let directory = ServerHome(data)
            try directory.requireInitialised()
            let configuration = try await ConfigurationLoader(file: directory.configurationFile, flags: [:]).load()
            let key = try directory.identity(id: configuration.id).publicKey
            if json {
                Terminal.say(
                    jsonLine([
                        "id": configuration.id.rawValue, "fingerprint": key.fingerprint, "publicKey": key.description,
                    ]))
                return
            }
            Terminal.say("\(Terminal.styled(configuration.id.rawValue, .bold))")
            Terminal.say("  fingerprint  \(key.fingerprint)")
            Terminal.say("  public key   \(key) (Ed25519)")
        }
    }
}
