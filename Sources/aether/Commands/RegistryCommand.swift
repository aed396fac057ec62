import ArgumentParser
import FederationModel
import Foundation

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
            var path = "/v1/servers"
            if let status {
                guard let status = ServerStatus(rawValue: status.lowercased()) else {
                    throw ValidationError("--status takes online, degraded, offline or suspended")
                }
                path += "?status=\(status.rawValue)"
            }
            let response = try await options.client().all(path, "servers")
            options.show(response) { body in
                var table = Table("ID", "STATUS", "HEARD", "NAME", "ENDPOINT")
                for server in body["servers"].list {
                    table.add(
                        server["id"].text(), server["status"].text(), Age.text(server["lastHeartbeat"].string),
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
                for key in ["status", "endpoint", "fingerprint", "registeredAt", "lastHeartbeat", "recordSequence"] {
                    Terminal.say("  " + key.padded(to: 16) + server[key].text())
                }
            }
        }
    }
}

/// How long ago something was, as people say it.
enum Age {
    /// - Parameter time: RFC 3339, as the server writes it; nil for what never was.
    static func text(_ time: String?) -> String {
        guard let time else { return "never" }
        guard let date = try? Date(time, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)) else {
            return time
        }
        let seconds = Int(max(0, Date().timeIntervalSince(date)))
        return switch seconds {
        case ..<120: "\(seconds) s ago"
        case ..<7_200: "\(seconds / 60) min ago"
        case ..<172_800: "\(seconds / 3_600) h ago"
        default: "\(seconds / 86_400) days ago"
        }
    }
}
