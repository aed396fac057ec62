import FederationModel
import Foundation

/// The demo from beginning to end: two servers, one portal, one player.
struct DemoStory: Sendable {
    enum Outcome: Sendable {
        /// Every step held.
        case crossed
        /// Some step refused.
        case refused
        case interrupted
    }

    let report: DemoReport
    let breakage: Breakage?
    let world: WorldChoice
    let alpha: DemoServer
    let beta: DemoServer

    static let garden = WorldID(unchecked: "garden")
    static let outward = PortalID(unchecked: "garden-gate")
    static let homeward = PortalID(unchecked: "harbour-steps")
    static let player = "alice"

    init(folder: DemoFolder, report: DemoReport, breakage: Breakage?, world: WorldChoice) throws {
        self.report = report
        self.breakage = breakage
        self.world = world
        let first = try FreePort.near(Int(AetherURL.defaultPort))
        let second = try FreePort.near(Int(AetherURL.defaultPort) + 1, except: first)
        alpha = try DemoServer(id: ServerID(unchecked: "alpha"), name: "Alpha", port: first, folder: folder.path)
        beta = try DemoServer(id: ServerID(unchecked: "beta"), name: "Beta", port: second, folder: folder.path)
        let taken = [(7_700, first), (7_701, second)].filter { $0.0 != $0.1 }.map { "\($0.0)" }
        if !taken.isEmpty {
            report.remark(
                "\(taken.count == 1 ? "Port" : "Ports") \(taken.joined(separator: " and ")) "
                    + "\(taken.count == 1 ? "is" : "are") taken; alpha listens on \(first) and beta on \(second).")
        }
    }

    private var clockFile: String { alpha.home.path + "/clock" }

    func stop() async {
        await alpha.stop()
        await beta.stop()
    }

    /// Runs every step. A refusal is reported at its step, and then the player's state at home is checked.
    func tell() async throws -> Outcome {
        // Before anything starts: a folder that is no world is a mistake, and no step's refusal.
        let home = try WorldFolder(world.home, world: Self.garden, name: "The Garden")
        let away = try WorldFolder(world.folder, world: world.id, name: world.name)
        report.title("Two servers, one portal")
        report.note("alpha \(alpha.endpoint) and beta \(beta.endpoint), each a process with its own keys and data")
        try await alpha.start(breakage == .token ? ["--clock-file", clockFile] : [])
        try await beta.start()
        if let breakage { report.note(Terminal.styled("Broken on purpose: \(breakage.story).", .yellow)) }
        report.title("The crossing, step by step")
        do {
            try await meet()
            try await trust()
            try await publish(home, away)
            let traveller = Traveller(story: self)
            try await traveller.enter()
            try await heartbeat()
            try await route()
            if breakage == .token { try PrivateFile.create(clockFile, "-240") }
            try await traveller.go()
            try await traveller.comeBack()
            return .crossed
        } catch let refusal as Refusal {
            try await tell(refusal)
            return .refused
        }
    }

    // MARK: The steps

    /// Step 1: each server takes the other's signed card and pins its key.
    private func meet() async throws {
        let watch = Stopwatch()
        // Everything here is on this machine.
        let fetcher = try CardFetcher(policy: AddressPolicy(allowsPrivate: true))
        let cards = [
            (alpha, beta, try await fetcher.fetch(CardFetcher.address(beta.endpoint.description)).text),
            (beta, alpha, try await fetcher.fetch(CardFetcher.address(alpha.endpoint.description)).text),
        ]
        if breakage == .peer { try await replaceKey() }
        for (server, other, text) in cards {
            _ = try await server.client.request(
                "POST", "/v1/peers", body: .bytes(Data(text.utf8), type: "application/jose"))
            let entry = try await server.client.get("/v1/servers/\(other.id)").json.fields
            guard entry["status"].text() != "suspended" else {
                throw Refusal(
                    .conflict, code: "server.suspended", reason: "\(other.id) is suspended at \(server.id)",
                    remedy: "aether peers reinstate \(other.id)", step: .registry)
            }
        }
        report.step(
            .registry, milliseconds: watch.milliseconds,
            detail: "signed cards exchanged and verified; both are known, neither is suspended")
    }

    /// Step 2: challenge and response, until both sides say Completed.
    private func trust() async throws {
        let watch = Stopwatch()
        let completed = try await Wait.until(.seconds(breakage == .peer ? 4 : 20)) {
            let here = try await self.alpha.peer(self.beta.id)
            let there = try await self.beta.peer(self.alpha.id)
            return here["trusted"].bool == true && there["trusted"].bool == true
        }
        if !completed, breakage == nil {
            let failure = try await alpha.peer(beta.id)["dial"]["lastFailure"].text("no answer")
            throw Refusal(
                .conflict, code: "peer.untrusted", reason: "the handshake was not completed: \(failure)",
                remedy: "read \(alpha.logFile)", step: .handshake)
        }
        guard completed else { return }
        let fingerprint = try await alpha.peer(beta.id)["fingerprint"].text()
        report.step(
            .handshake, milliseconds: watch.milliseconds,
            detail: "Completed both ways; beta proved the key \(fingerprint)")
    }

    /// Two worlds of real files, and a portal between them each way.
    private func publish(_ home: WorldFolder, _ away: WorldFolder) async throws {
        _ = try await home.publish(to: alpha.client)
        _ = try await away.publish(to: beta.client)
        try await addRoute(alpha, Self.outward, to: beta.id, world.id, spawn: "12,0,-3.5")
        try await addRoute(beta, Self.homeward, to: alpha.id, Self.garden, spawn: "0,0,4")
        if breakage == .asset { try damageAsset(of: away) }
    }

    private func addRoute(
        _ server: DemoServer, _ portal: PortalID, to destination: ServerID, _ world: WorldID, spawn: String
    ) async throws {
        do {
            _ = try await server.client.request(
                "POST", "/v1/routes",
                body: .json([
                    "portal": portal.rawValue, "destination": destination.rawValue, "world": world.rawValue,
                    "spawn": spawn,
                ]))
        } catch let refusal as Refusal where refusal.kind == .conflict {
            // A data directory that was used before has the route already.
        }
    }

    /// Step 3: heartbeats are answered.
    private func heartbeat() async throws {
        if breakage == .health { beta.kill() }
        let watch = Stopwatch()
        if breakage == .peer { return }
        let reached = try await Wait.until(.seconds(20)) {
            let peer = try await self.alpha.peer(self.beta.id)
            if self.breakage == .health { return peer["health"].text() == "unreachable" }
            return peer["health"].text() == "healthy" && peer["roundTripMicroseconds"].int != nil
        }
        guard breakage != .health else { return }
        guard reached else {
            throw Refusal(
                .conflict, code: "peer.unhealthy", reason: "beta does not answer heartbeats",
                remedy: "read \(beta.logFile)", step: .health)
        }
        let micros = try await alpha.peer(beta.id)["roundTripMicroseconds"].int ?? 0
        report.step(
            .health, milliseconds: watch.milliseconds,
            detail: "beta is healthy; a heartbeat and its answer took \(Double(micros) / 1_000) ms")
    }

    /// Step 4: the portal leads somewhere, now.
    private func route() async throws {
        if breakage == .route {
            _ = try await alpha.client.request("PATCH", "/v1/routes/\(Self.outward)", body: .json(["active": false]))
        }
        let watch = Stopwatch()
        // The crossing itself then shows which step refuses.
        if breakage == .peer || breakage == .health || breakage == .route { return }
        let route = try await alpha.client.get("/v1/routes/\(Self.outward)/destination").json.fields
        report.step(
            .routing, milliseconds: watch.milliseconds,
            detail: "\(Self.outward) leads to \(route["url"].text(route["world"].text()))")
    }

    // MARK: Breaking things

    /// Gives beta another identity under the same id, as a thief of its address would have, who has no database of beta's.
    private func replaceKey() async throws {
        await beta.stop()
        let database = beta.home.path + "/federation.sqlite3"
        for file in [beta.home.identityFile, database, database + "-wal", database + "-shm"]
        where FileManager.default.fileExists(atPath: file) {
            try FileManager.default.removeItem(atPath: file)
        }
        try PrivateFile.create(beta.home.identityFile, hexString(SystemRandom.bytes(32)) + "\n")
        try await beta.start()
    }

    /// Flips one bit of one file in beta's asset store.
    private func damageAsset(of folder: WorldFolder) throws {
        guard let entry = folder.manifest.entries.max(by: { $0.size < $1.size }) else { return }
        let hex = entry.hash.description
        let path = "\(beta.home.path)/assets/\(hex.prefix(2))/\(hex.dropFirst(2))"
        guard var bytes = FileManager.default.contents(atPath: path), !bytes.isEmpty else {
            throw Refusal(
                .unavailable, code: "demo.noAsset", reason: "\(path) is not there to be damaged", remedy: "report this")
        }
        bytes[bytes.startIndex + bytes.count / 2] ^= 1
        chmod(path, 0o600)
        let handle = FileHandle(forWritingAtPath: path)
        try handle?.write(contentsOf: bytes)
        try handle?.close()
    }

    // MARK: Endings

    /// Shows which step refused, and that the player can still play at home.
    private func tell(_ refusal: Refusal) async throws {
        let isExpected = breakage.map { $0.step == refusal.step } ?? false
        let home = try? await alpha.client.get("/v1/worlds/\(Self.garden)/players/\(Self.player)").json.fields
        let presence = home?["presence"].text() ?? "not entered"
        report.step(
            refusal.step ?? .handoff, ok: false, milliseconds: report.sinceLastStep, detail: "\(refusal)",
            extra: ["code": refusal.code, "player": presence, "expected": isExpected])
        report.title("Nobody crossed")
        report.note("\(Self.player) is \(presence) in \(Self.garden) on alpha.")
        if let breakage {
            report.note(
                isExpected
                    ? "That is the step that had to refuse when \(breakage.story)."
                    : Terminal.styled("The step that had to refuse is \(breakage.step.rawValue).", .red))
        }
    }

    func sayWhatNext() {
        guard !report.isJSON else { return }
        report.title("Both servers stay up. Try, in another terminal:")
        let program = CommandLine.arguments.first ?? "aether"
        let key = "\"Authorization: Bearer $(cat \(alpha.home.adminKeyFile))\""
        for line in [
            "\(program) peers list --data \(alpha.home.path)",
            "\(program) travel \(Self.player) \(Self.outward) --data \(alpha.home.path)",
            "\(program) routes off \(Self.outward) --data \(alpha.home.path)",
            "curl \(alpha.endpoint.httpBase)/.well-known/aether-federation",
            "curl -H \(key) \(alpha.endpoint.httpBase)/v1/handoffs",
            "curl \(alpha.endpoint.httpBase)/metrics",
        ] {
            report.note(Terminal.styled(line, .cyan))
        }
        report.note("Ctrl-C ends both.")
    }
}
