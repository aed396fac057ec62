import ArgumentParser
import FederationModel
import Foundation

struct WorldsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worlds", abstract: "Offer worlds.", subcommands: [Add.self, List.self, Remove.self, Events.self],
        defaultSubcommand: List.self)

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Offer a folder of files as a world, or replace what a world consists of.")

        @Argument(help: "The world's id.") var world: String
        @Argument(help: "The folder.") var folder: String
        @Option(help: "Its name for people (else the id).") var name: String?
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let world = try identifier(world, as: WorldID.self)
            let contents = try WorldFolder(folder, world: world, name: name ?? world.rawValue)
            let client = try await options.client()
            let sent = try await contents.publish(to: client)
            let response = try await client.get("/v1/worlds/\(world)")
            options.show(response) { _ in
                let count = contents.manifest.entries.count
                let size = humanSize(contents.manifest.totalSize)
                Terminal.say("\(world) is offered: \(count) files, \(size) (\(humanSize(sent)) uploaded).")
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the worlds offered.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().all("/v1/worlds", "worlds")
            options.show(response) { body in
                var table = Table("WORLD", "FILES", "SIZE", "MANIFEST", "NAME")
                for world in body["worlds"].list {
                    table.add(
                        world["world"].text(), world["assets"].text(), humanSize(world["totalSize"].int ?? 0),
                        String(world["manifest"].text().prefix(12)), world["name"].text())
                }
                table.show(empty: "No worlds yet. Offer one: aether worlds add WORLD FOLDER")
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Offer a world no longer. Its files stay; nobody may be in it.")

        @Argument(help: "The world's id.") var world: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let world = try identifier(world, as: WorldID.self)
            _ = try await options.client().request("DELETE", "/v1/worlds/\(world)")
            Terminal.say(
                options.json ? jsonLine(["removed": world.rawValue]) : "\(world) is no longer offered; its files stay.")
        }
    }

    struct Events: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "events", abstract: "Follow what a world server is told: who arrives, departs and returns.",
            discussion: "With --json each line is the event's object, with its name as 'event'. Ends with the server.")

        @Argument(help: "The world's id.") var world: String
        @Flag(
            name: .customLong("guard"),
            help: """
                Make newcomers wait for an answer (POST /v1/worlds/WORLD/arrivals/HANDOFF); who gets none is turned away.
                """)
        var isGuarding = false
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let world = try identifier(world, as: WorldID.self)
            var reader = EventReader()
            let query = isGuarding ? "?guard=true" : ""
            try await options.client().follow("/v1/worlds/\(world)/events\(query)") { bytes in
                for event in try reader.read(bytes) { show(event) }
            }
            throw Refusal(
                .unavailable, code: "events.ended", reason: "the server ended the events of \(world)",
                remedy: "follow them again, and ask who is there: GET /v1/worlds/\(world)/players")
        }

        private func show(_ event: EventReader.Event) {
            guard options.json else { return Terminal.say(EventText.line(event)) }
            var object = (try? JSONSerialization.jsonObject(with: Data(event.data.utf8))) as? [String: Any] ?? [:]
            object["event"] = event.name
            Terminal.say(jsonLine(object))
        }
    }
}
