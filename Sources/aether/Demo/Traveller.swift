import FederationModel
import Foundation

/// The demo's player: enters, goes through the portal, picks something up, and comes back.
struct Traveller: Sendable {
    let story: DemoStory

    private var alpha: DemoServer { story.alpha }
    private var beta: DemoServer { story.beta }
    private var id: String { "\(DemoStory.player)@\(alpha.id)" }

    private static let belongings = ["brass lantern", "map of the garden", "7 silver coins"]
    private static let souvenir = "a shell from the quay"

    /// The player begins at home with an inventory.
    func enter() async throws {
        try await save(Self.belongings, on: alpha, world: DemoStory.garden)
    }

    /// Through the portal, as the player's own client sees it.
    func go() async throws {
        let watch = Stopwatch()
        let redirect = try await depart(alpha, DemoStory.garden, DemoStory.outward) { step in
            guard step["step"].text() == "verification", step["ok"].bool == true else { return }
            story.report.step(
                .verification, milliseconds: step["ms"].double ?? 0, detail: step["detail"].text(""))
        }
        let player = try await arrive(redirect)
        let receipt = try await handoff(redirect["handoff"].text(), on: alpha)
        let handed = receipt["steps"].list.first { $0["step"].text() == "handoff" }
        story.report.step(
            .handoff, milliseconds: handed?["ms"].double ?? watch.milliseconds,
            detail: "admitted by beta at epoch \(player["epoch"].text()); \(handed?["detail"].text("") ?? "")")
        let carried = try await carried(on: beta, world: story.world.id)
        guard carried == Self.belongings else {
            throw Refusal(
                .conflict, code: "demo.stateChanged", reason: "the player arrived with \(carried)",
                remedy: "report this", step: .handoff)
        }
        story.report.title("\(DemoStory.player) is in \(story.world.name) on beta")
        story.report.note("at \(player["spawn"].text()), carrying: \(carried.joined(separator: ", "))")
    }

    /// Home again, with what was picked up.
    func comeBack() async throws {
        let carried = Self.belongings + [Self.souvenir]
        try await save(carried, on: beta, world: story.world.id)
        story.report.note("and picks up \(Self.souvenir), then walks back")
        let watch = Stopwatch()
        let player: JSONText.Fields
        do {
            let redirect = try await depart(beta, story.world.id, DemoStory.homeward)
            player = try await arrive(redirect)
            _ = try await handoff(redirect["handoff"].text(), on: beta)
        } catch let refusal as Refusal {
            throw Refusal(
                refusal.kind, code: refusal.code, reason: refusal.reason, remedy: refusal.remedy, step: .return)
        }
        let found = try await self.carried(on: alpha, world: DemoStory.garden)
        guard found == carried else {
            throw Refusal(
                .conflict, code: "demo.stateChanged", reason: "the player came back with \(found)",
                remedy: "report this", step: .return)
        }
        story.report.step(
            .return, milliseconds: watch.milliseconds,
            detail: "home again at epoch \(player["epoch"].text()), with every step checked the other way")
        story.report.title("\(DemoStory.player) is in The Garden on alpha")
        story.report.note("carrying: \(found.joined(separator: ", "))")
    }

    // MARK: Parts

    /// Follows the crossing on the player's socket until the redirect comes; a refusal is thrown.
    private func depart(
        _ server: DemoServer, _ world: WorldID, _ portal: PortalID, seen: (JSONText.Fields) -> Void = { _ in }
    ) async throws -> JSONText.Fields {
        let entry = try await server.client.get("/v1/worlds/\(world)/players/\(id)").json.fields
        let client = try await PlayerClient.connect(to: server.endpoint)
        _ = try await client.join(ticket: try await ticket(on: server, world: world, entry))
        _ = try await server.client.request(
            "POST", "/v1/portals/\(portal)/travel", body: .json(try await server.client.departure(of: id)))
        let message = try await client.next("redirect", "returned") { progress in
            if progress["type"].text() == "progress" { seen(progress) }
        }
        guard message["type"].text() == "redirect" else {
            throw Refusal(
                .conflict, code: message["code"].text("client.returned"), reason: message["reason"].text(),
                remedy: message["remedy"].text(), step: message["step"].string.flatMap(CrossingStep.init(rawValue:)))
        }
        return message
    }

    /// The ticket that the world server gets when it saves the player, as it would hand it to the player's client.
    private func ticket(on server: DemoServer, world: WorldID, _ entry: JSONText.Fields) async throws -> String {
        let state = Data(base64Encoded: entry["state"].text("")) ?? Data()
        let saved = try await server.client.request(
            "PUT", "/v1/worlds/\(world)/players/\(id)", body: .bytes(state, type: "application/octet-stream"),
            headers: ["Aether-Epoch": entry["epoch"].text()])
        return saved.json.fields["ticket"].text("")
    }

    /// Connects where the redirect says, and shows the token.
    private func arrive(_ redirect: JSONText.Fields) async throws -> JSONText.Fields {
        guard let endpoint = Endpoint(redirect["endpoint"].text("")) else {
            throw Refusal(
                .invalid, code: "demo.redirect", reason: "the redirect names no endpoint", remedy: "report this",
                step: .handoff)
        }
        let client = try await PlayerClient.connect(to: endpoint)
        let arrived = try await client.arrive(token: redirect["token"].text(""))
        await client.close()
        return arrived
    }

    /// The handoff in the source's ledger, once the destination's receipt is in.
    private func handoff(_ id: String, on server: DemoServer) async throws -> JSONText.Fields {
        guard let handoff = HandoffID(id) else {
            throw Refusal(
                .invalid, code: "demo.redirect", reason: "the redirect names no handoff", remedy: "report this",
                step: .handoff)
        }
        return try await CrossingFollower(client: server.client).wait(for: handoff, atMost: .seconds(20)).json.fields
    }

    private func save(_ items: [String], on server: DemoServer, world: WorldID) async throws {
        let state = jsonLine(["inventory": items, "health": 87])
        let address = "/v1/worlds/\(world)/players/\(id)"
        // A player who is new here has no epoch yet.
        let epoch = try? await server.client.get(address).json.fields["epoch"].text()
        _ = try await server.client.request(
            "PUT", address, body: .bytes(Data(state.utf8), type: "application/json"),
            headers: epoch.map { ["Aether-Epoch": $0] } ?? [:])
    }

    private func carried(on server: DemoServer, world: WorldID) async throws -> [String] {
        let player = try await server.client.get("/v1/worlds/\(world)/players/\(id)").json.fields
        let state = JSONText(data: Data(base64Encoded: player["state"].text("")) ?? Data()).fields
        return state["inventory"].list.compactMap(\.string)
    }
}
