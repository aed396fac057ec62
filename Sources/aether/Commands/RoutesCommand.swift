import ArgumentParser
import FederationModel

struct RoutesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes", abstract: "Decide where portals lead.",
        subcommands: [Add.self, List.self, On.self, Off.self, Remove.self, Resolve.self], defaultSubcommand: List.self)

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Let a portal lead to a world on another server.")

        @Argument(help: "The portal on this server.") var portal: String
        @Argument(help: "The server to which it leads.") var destination: String
        @Argument(help: "The world there.") var world: String
        // Also one that begins with a minus, as no other option's value does.
        @Option(parsing: .unconditional, help: "Where players appear there: x,y,z.") var spawn: String?
        @Flag(help: "Add it switched off.") var off = false
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let portal = try identifier(portal, as: PortalID.self)
            let destination = try identifier(destination, as: ServerID.self)
            let world = try identifier(world, as: WorldID.self)
            var body: [String: Any] = [
                "portal": portal.rawValue, "destination": destination.rawValue, "world": world.rawValue, "active": !off,
            ]
            if let spawn {
                guard let point = SpawnPoint(spawn) else { throw ValidationError("--spawn takes x,y,z: three numbers") }
                body["spawn"] = point.description
            }
            let response = try await options.client().request("POST", "/v1/routes", body: .json(body))
            options.show(response) { _ in Terminal.say("\(portal) leads to \(world) on \(destination).") }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List routes.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().all("/v1/routes", "routes")
            options.show(response) { body in
                var table = Table("PORTAL", "DESTINATION", "WORLD", "SPAWN", "STATE")
                for route in body["routes"].list {
                    table.add(
                        route["portal"].text(), route["destination"].text(), route["world"].text(),
                        route["spawn"].text(), route["active"].bool == true ? "on" : "off")
                }
                table.show(empty: "No routes yet. Add one: aether routes add PORTAL SERVER WORLD")
            }
        }
    }

    struct On: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "on", abstract: "Let players pass.")

        @Argument var portal: String
        @OptionGroup var options: ServerOptions

        func run() async throws { try await set(portal, active: true, options) }
    }

    struct Off: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "off", abstract: "Let no player pass.")

        @Argument var portal: String
        @OptionGroup var options: ServerOptions

        func run() async throws { try await set(portal, active: false, options) }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove a route.")

        @Argument var portal: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let portal = try identifier(portal, as: PortalID.self)
            _ = try await options.client().request("DELETE", "/v1/routes/\(portal)")
            Terminal.say(options.json ? jsonLine(["removed": portal.rawValue]) : "\(portal) leads nowhere now.")
        }
    }

    struct Resolve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resolve", abstract: "Show where a portal leads now, or which step refuses.")

        @Argument var portal: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let portal = try identifier(portal, as: PortalID.self)
            let response = try await options.client().get("/v1/routes/\(portal)/destination")
            options.show(response) { route in
                Terminal.say("\(portal) leads to \(route["world"].text()) on \(route["destination"].text()).")
            }
        }
    }

    private static func set(_ text: String, active: Bool, _ options: ServerOptions) async throws {
        let portal = try identifier(text, as: PortalID.self)
        let response = try await options.client().request(
            "PATCH", "/v1/routes/\(portal)", body: .json(["active": active]))
        options.show(response) { _ in Terminal.say("\(portal) is \(active ? "on" : "off").") }
    }
}
