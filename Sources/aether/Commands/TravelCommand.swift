import ArgumentParser
import FederationModel
import Foundation

struct TravelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "travel", abstract: "Send a player through a portal and wait until the crossing is over.")

    @Argument(help: "The player: name, or name@home.") var player: String
    @Argument(help: "The portal on this server.") var portal: String
    @Flag(help: "Return at once with the handoff's id.") var noWait = false
    @OptionGroup var options: ServerOptions

    func run() async throws {
        let portal = try identifier(portal, as: PortalID.self)
        if PlayerID(player) == nil { _ = try identifier(player, as: PlayerName.self) }
        let client = try await options.client()
        let started = try await client.request(
            "POST", "/v1/portals/\(portal)/travel", body: .json(try await client.departure(of: player)))
        guard let id = started.json.fields["id"].string.flatMap({ HandoffID($0) }) else {
            throw Refusal(
                .unavailable, code: "server.confused", reason: "the server did not name the handoff",
                remedy: "check that both ends are of the same version")
        }
        if noWait {
            options.show(started) { _ in Terminal.say("handoff \(id) is on its way") }
            return
        }
        let crossing = try await CrossingFollower(client: client).wait(for: id, atMost: .seconds(120))
        options.show(crossing) { body in
            for step in body["steps"].list { Terminal.say(CrossingText.line(of: step)) }
        }
        let fields = crossing.json.fields
        guard fields["phase"].string == "completed" else {
            let refusal = fields["refusal"]
            throw Refusal(
                .conflict, code: refusal["code"].text("handoff.aborted"),
                reason: refusal["reason"].text("it was aborted"),
                remedy: refusal["remedy"].text("the player goes on here"))
        }
        if !options.json {
            Terminal.say("\(fields["player"].text()) is in \(fields["world"].text()) on \(fields["peer"].text()).")
        }
    }
}

extension AdminClient {
    /// What a request to send a player away says: who, and in which epoch, as the server knows them now.
    func departure(of player: String) async throws -> [String: Any] {
        var departure: [String: Any] = ["player": player]
        do {
            departure["epoch"] = try await get("/v1/players/\(player)").json.fields["epoch"].int
        } catch let refusal as Refusal where refusal.code == "player.unknown" {
            // The server refuses it in its own words.
        }
        return departure
    }
}
