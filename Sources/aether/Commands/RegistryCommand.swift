import ArgumentParser
import FederationModel
import Foundation

struct RegistryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registry", abstract: "Look at the servers that are known here, and at registries.",
        subcommands: [
            List.self, Show.self, Log.self, Suspend.self, Reinstate.self, Sources.self, RegistryAuditCommand.self,
            RegistryLeaveCommand.self, Readmit.self, Conflicts.self,
        ], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List known servers.")

        @Option(help: "Only those that are online, degraded, offline or suspended.")
        var status: String?

        @Option(help: "Only those that announce this world.")
        var world: String?

        @Option(help: "Only those with this text in their id or name.")
        var text: String?

        @OptionGroup var options: ServerOptions

        func run() async throws {
            var query: [String] = []
            if let status {
                guard let status = ServerStatus(rawValue: status.lowercased()) else {
                    throw ValidationError("--status takes online, degraded, offline or suspended")
                }
                query.append("status=\(status.rawValue)")
            }
            if let world { query.append("world=\(try identifier(world, as: WorldID.self))") }
            if let text {
                let allowed = CharacterSet.alphanumerics
                query.append("text=\(text.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")")
            }
            let path = "/v1/servers" + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
            let response = try await options.client().all(path, "servers")
            options.show(response) { body in
                var table = Table("ID", "STATUS", "HEARD", "NAME", "ENDPOINT")
                for server in body["servers"].list {
                    table.add(
                        server["id"].text(), server["status"].text(), Age.text(server["lastHeartbeat"].string),
                        server["name"].text(), server["endpoint"].text())
                }
                table.show(empty: query.isEmpty ? "No servers are known." : "No server matches.")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one server.")

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
                let worlds = server["worlds"].list.map { $0.text() }
                if !worlds.isEmpty { Terminal.say("  " + "worlds".padded(to: 16) + worlds.joined(separator: ", ")) }
                if let reason = server["suspensionReason"].string {
                    Terminal.say("  " + "suspended for".padded(to: 16) + reason)
                }
            }
        }
    }

    struct Log: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "log", abstract: "Show the newest entries of the registry's log.")

        @Option(help: "How many entries.")
        var last = 20

        @OptionGroup var options: ServerOptions

        func run() async throws {
            guard (1...1_000).contains(last) else { throw ValidationError("--last takes 1 to 1000") }
            let client = try await options.client()
            let size = try await client.get("/v1/log/head").json.fields["size"].int ?? 0
            let first = max(0, Int(size) - last)
            let after = first == 0 ? "" : "&after=\(first - 1)"
            let response = try await client.get("/v1/log/entries?limit=\(last)\(after)")
            options.show(response) { body in
                var table = Table("ENTRY", "WHEN", "WHAT", "ID", "CARD", "WHY")
                for element in body["entries"].list {
                    let entry = element["entry"]
                    let seconds = entry["time"].int.map { Date(timeIntervalSince1970: Double($0)) }
                    table.add(
                        element["index"].text(), seconds?.formatted(.iso8601) ?? "–", entry["kind"].text(),
                        entry["id"].text(), entry["sequence"].text(), entry["reason"].text(""))
                }
                table.show(empty: "The log is empty.")
            }
        }
    }

    struct Conflicts: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "conflicts", abstract: "List servers that have signed two cards which contradict each other.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().all("/v1/equivocations", "equivocations")
            options.show(response) { body in
                var table = Table("ID", "SEEN")
                for conflict in body["equivocations"].list {
                    table.add(conflict["id"].text(), Age.text(conflict["seenAt"].string))
                }
                table.show(empty: "Nobody has contradicted themselves.")
                if !body["equivocations"].list.isEmpty { Terminal.say("Both cards of each are in --json.") }
            }
        }
    }

    struct Suspend: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "suspend", abstract: "Exclude a server from this registry until it is reinstated.")

        @Argument var id: String
        @Option(help: "Why: everybody can read it.") var reason: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let response = try await options.client().request(
                "POST", "/v1/servers/\(id)/suspend", body: .json(["reason": reason]))
            options.show(response) { _ in Terminal.say("\(id) is suspended here: \(reason)") }
        }
    }

    struct Reinstate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "reinstate", abstract: "End a suspension.")

        @Argument var id: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let response = try await options.client().request("POST", "/v1/servers/\(id)/reinstate")
            options.show(response) { _ in Terminal.say("\(id) is reinstated, and offline until it is heard.") }
        }
    }

    struct Sources: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sources", abstract: "Show the registries that this server uses.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().get("/v1/registries")
            options.show(response) { body in
                var table = Table("ADDRESS", "REGISTRY", "CONTACT", "LOG", "SERVERS", "HERE", "ERROR")
                for source in body["registries"].list {
                    let error = source["lastError"]
                    table.add(
                        source["address"].text(), source["registry"].text(), Age.text(source["lastContact"].string),
                        "\(source["read"].text()) of \(source["size"].text())", source["servers"].text(),
                        source["registered"].bool == true ? "listed" : "not listed",
                        source["faulty"].bool == true ? source["fault"]["code"].text() : error["code"].text(""))
                    if source["faulty"].bool == true {
                        table.note("caught: it counts for nothing; what proves it is in --json")
                    }
                }
                table.show(
                    empty: "This server uses no registry. Name some: aether serve --registry-url http://host:port")
            }
        }
    }
}

extension RegistryCommand {
    struct Readmit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "readmit",
            abstract: "Read a registry that was caught, or whose log was rewritten, again from the beginning.",
            discussion: "What it was caught at is forgotten: save it first with aether registry sources --json.")

        @Argument(help: "The registry's address, as aether registry sources shows it.")
        var address: String

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().request(
                "POST", "/v1/registries/readmit", body: .json(["address": address]))
            options.show(response) { _ in Terminal.say("\(address) is used again, and read from the beginning.") }
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
