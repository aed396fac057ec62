import ArgumentParser
import FederationModel
import Foundation

struct PlayersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "players", abstract: "Look at players, and take one back from a server that is gone for good.",
        subcommands: [List.self, Show.self, Reclaim.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the players that this server knows, wherever they are.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().all("/v1/players", "players")
            options.show(response) { body in
                var table = Table("PLAYER", "WHERE", "WORLD", "EPOCH", "REV", "STATE")
                for player in body["players"].list {
                    table.add(
                        player["player"].text(), PlayersCommand.place(of: player), player["world"].text(),
                        player["epoch"].text(), player["revision"].text(), humanSize(player["stateBytes"].int ?? 0))
                }
                table.show(empty: "No players yet. A world server enters one: PUT /v1/worlds/WORLD/players/NAME")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show one player as this server knows them.")

        @Argument(help: "The player: name, or name@home.") var player: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let path = "/v1/players/\(try PlayersCommand.checked(player))"
            let response = try await options.client().get(path)
            options.show(response) { player in
                Terminal.say("\(player["player"].text()): \(PlayersCommand.place(of: player))")
                Terminal.say("  world     \(player["world"].text())")
                Terminal.say("  epoch     \(player["epoch"].text())")
                Terminal.say("  revision  \(player["revision"].text())")
                Terminal.say("  state     \(humanSize(player["stateBytes"].int ?? 0))")
                if let handoff = player["handoff"].string { Terminal.say("  handoff   \(handoff)") }
            }
        }
    }

    struct Reclaim: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "reclaim", abstract: "Take a player of this server back from a server that is gone for good.",
            discussion: "Goes on with the last state that this server knows. Without --yes it says what would happen.")

        @Argument(help: "The player: name, or name@home.") var player: String
        @Option(help: "Why, for the record.") var reason: String
        @Flag(help: "Do it.") var yes = false
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let path = "/v1/players/\(try PlayersCommand.checked(player))"
            let client = try await options.client()
            guard yes else {
                let known = try await client.get(path).json.fields
                guard known["presence"].string == "departed" else {
                    throw Refusal(
                        .conflict, code: "player.notAway",
                        reason: "\(known["player"].text()) is not on another server",
                        remedy: "there is nothing to take back")
                }
                for line in Self.warning(known) { Terminal.error(line) }
                throw ExitCode(2)
            }
            let response = try await client.request("POST", path + "/reclaim", body: .json(["reason": reason]))
            options.show(response) { reclaim in
                Terminal.say(
                    "\(reclaim["player"].text()) is taken back from \(reclaim["server"].text()): epoch "
                        + "\(reclaim["voided"].text()) there is void, \(reclaim["epoch"].text()) begins here.")
                Terminal.say("The player may enter again; the world server names the new epoch.")
            }
        }

        /// What would happen, and the danger of it.
        private static func warning(_ player: JSONText.Fields) -> [String] {
            let name = player["player"].text()
            return [
                "\(name) is \(PlayersCommand.place(of: player)), as far as this server knows.",
                "Taking the player back",
                "  - goes on with the last state known here: revision \(player["revision"].text()), "
                    + "\(humanSize(player["stateBytes"].int ?? 0)). What happened since is lost;",
                "  - voids every other copy. A server that still has one gives it up when it connects to this one.",
                "The danger: until then it may still let the player play, so the player would be in two places.",
                "Do it only when that server is gone for good. If it will come back, wait for it.",
                "Nothing has changed. To do it, repeat with --yes.",
            ]
        }
    }

    /// A player's name or id, as it stands in a path.
    private static func checked(_ text: String) throws -> String {
        if PlayerID(text) == nil { _ = try identifier(text, as: PlayerName.self) }
        return text
    }

    /// Where the player is, in two words.
    private static func place(of player: JSONText.Fields) -> String {
        switch player["presence"].string {
        case "playable": "here"
        case "departing": "leaving"
        case "departed": "on \(player["server"].text())"
        case "recalled": "recalled by \(player["server"].text())"
        case "left": "not playing"
        default: "–"
        }
    }
}
