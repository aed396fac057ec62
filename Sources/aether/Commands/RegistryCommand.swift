import ArgumentParser
import FederationModel

struct RegistryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registry", abstract: "Look at the servers that are known here.",
        subcommands: [List.self, Show.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List known servers.")

        @Option(help: "Only those that are online, degraded, offline or suspended.")
        var status: String?

        @OptionGroup var options: ServerOptions

        func run() async throws {
            var path = "/v1/servers?limit=1000"
            if let status {
                guard let status = ServerStatus(rawValue: status.lowercased()) else {
                    throw ValidationError("--status takes online, degraded, offline or suspended")
                }
                path += "&status=\(status.rawValue)"
            }
            let response = try await options.client().get(path)
            options.show(response) { body in
                var table = Table("ID", "STATUS", "LAST HEARTBEAT", "NAME", "ENDPOINT")
                for server in body["servers"].list {
                    table.add(
                        server["id"].text(), server["status"].text(), server["lastHeartbeat"].text("never"),
                        server["name"].text(), server["endpoint"].text())
                }
                table.show(empty: "No servers are known.")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one server.")

        @Argument var id: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let response = try await options.client().get("/v1/servers/\(id)")
            options.show(response) { server in
                Terminal.say("\(Terminal.styled(server["id"].text(), .bold))  \(server["name"].text())")
                for key in ["status", "endpoint", "publicKey", "registeredAt", "lastHeartbeat", "recordSequence"] {
                    Terminal.say("  " + key.padded(to: 16) + server[key].text())
                }
            }
        }
    }
}
