import ArgumentParser
import FederationCrypto
import FederationModel
import FederationService
import Foundation

struct RegistryLeaveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leave", abstract: "Ask a registry, signed by this server, to list it no more.",
        discussion: "Take the registry out of 'registries' first: a server that still uses it comes back.")

    @Argument(help: "The registry's address: http://host:port or https://host:port.")
    var address: String

    @Option(help: ArgumentHelp("The server's data directory (else AETHER_DATA, else ~/.aether).", valueName: "dir"))
    var data: String?

    @Flag(help: "Print JSON instead of text.")
    var json = false

    func run() async throws {
        let home = ServerHome(data)
        try home.requireInitialised()
        let configuration = try await ConfigurationLoader(file: home.configurationFile, flags: [:]).load()
        let base = try RegistryAuditCommand.base(of: address)
        guard !configuration.registries.contains(base) else {
            throw Refusal(
                .conflict, code: "registry.inUse", reason: "\(configuration.id) still uses \(base) and would come back",
                remedy: "take it out of 'registries' in \(home.configurationFile), restart the server, and repeat")
        }
        let link = try HTTPRegistryLink(tls: .trusting(configuration.tlsTrustRoots))
        let fetcher = try CardFetcher(
            policy: AddressPolicy(allowsPrivate: true), trustRoots: configuration.tlsTrustRoots)
        let card = try await fetcher.fetch(CardFetcher.address(base)).card
        let entry = try await link.ask(RegistryRequest("GET", base, "/v1/servers/\(configuration.id)"))
        let statement = try RegistryDeparture.statement(
            of: try home.identity(id: configuration.id), shownAs: entry, by: card.id,
            at: Timestamp(seconds: Int64(Date().timeIntervalSince1970)))
        _ = try await link.ask(
            RegistryRequest("DELETE", base, "/v1/servers/\(configuration.id)", statement: statement))
        Terminal.say(
            json
                ? jsonLine(["left": base, "registry": card.id.rawValue])
                : "\(card.id) at \(base) lists \(configuration.id) no more.")
    }
}
