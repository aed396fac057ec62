import Foundation
import Synchronization
import Testing

/// A real server: a process, a data directory, a port.
final class Node: Sendable {
    let id: String
    let port: Int
    let home: String
    let key: String
    /// What its operator has written down.
    let recovery: String
    private let scratch: Scratch
    private let arguments: [String]
    private let child = Mutex<Child?>(nil)

    /// Makes its data directory.
    ///
    /// - Parameter folder: the directory's name; nil for the id.
    convenience init(_ id: String, in scratch: Scratch, under folder: String? = nil, _ arguments: String...)
        async throws
    {
        try await self.init(id, in: scratch, under: folder, with: arguments)
    }

    /// Makes its data directory.
    ///
    /// - Parameter arguments: of `aether serve`, beside the usual ones and before them in force.
    init(_ id: String, in scratch: Scratch, under folder: String? = nil, with arguments: [String]) async throws {
        self.id = id
        self.scratch = scratch
        self.arguments = arguments
        port = try Loopback.freePort()
        home = scratch.path + "/" + (folder ?? id)
        let made = try await scratch.aether(
            "init", "--id", id, "--host", "127.0.0.1", "--port", "\(port)", "--endpoint", "ws://127.0.0.1:\(port)",
            "--data", home, "--json")
        try #require(made.code == 0, "\(made.err)")
        recovery = try #require(JSON(made.out)["recoveryKey"].string)
        key = try String(contentsOfFile: home + "/admin.key", encoding: .utf8).trimmingCharacters(
            in: .whitespacesAndNewlines)
        try allowSlowness()
    }

    /// A machine that runs many tests at once is not a healthy link: an answer may take its time.
    private func allowSlowness() throws {
        try set("handoff", ["acceptSeconds": 30, "arrivalSeconds": 10])
    }

    /// Changes one member of its configuration, for the next start.
    func set(_ name: String, _ value: Any) throws {
        let file = URL(fileURLWithPath: home + "/aether.json")
        var settings = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        settings[name] = value
        try JSONSerialization.data(withJSONObject: settings).write(to: file)
    }

    var address: String { "http://127.0.0.1:\(port)" }
    var log: String { child.withLock { $0 }?.err ?? "" }
    var isRunning: Bool { child.withLock { $0 }?.isRunning == true }

    /// Starts it and waits until it answers.
    func start(_ location: SourceLocation = #_sourceLocation) async throws {
        try await start(at: port, location)
    }

    /// - Parameter port: where it answers; nil when that is not in the clear, and its log must do.
    func start(at port: Int?, _ location: SourceLocation = #_sourceLocation) async throws {
        let process = try scratch.start(
            Program.aether,
            [
                "serve", "--data", home, "--heartbeat-interval", "0.15", "--degraded-after", "2", "--unreachable-after",
                "5", "--end-with-input",
            ] + arguments)
        child.withLock { $0 = process }
        try await eventually("\(id) answers; its log: \(process.err)", location) {
            try #require(process.isRunning, "\(id) ended: \(process.err)", sourceLocation: location)
            guard let port else { return process.err.contains("is listening on") }
            // The card comes last, after the port and the peers.
            return (try? await HTTP.send("GET", "/.well-known/aether-federation", port: port).status) == 200
        }
    }

    func signal(_ number: Int32) { child.withLock { $0 }?.signal(number) }

    /// Ends it as a power cut would, and waits until it is gone.
    func kill() async throws {
        signal(SIGKILL)
        _ = try await child.withLock { $0 }?.end()
    }

    /// Asks it to end, and waits.
    func stop() async throws -> Child.End {
        signal(SIGTERM)
        return try await #require(child.withLock { $0 }).end()
    }

    /// A request with the admin key.
    func api(
        _ method: String, _ path: String, json: String? = nil, type: String = "application/json",
        headers: [String: String] = [:]
    ) async throws -> Answer {
        var headers = headers
        if json != nil { headers["Content-Type"] = type }
        return try await HTTP.send(
            method, path, port: port, key: key, headers: headers, body: json.map { Data($0.utf8) })
    }

    func get(_ path: String) async throws -> JSON { try await api("GET", path).json }

    /// What it says of a peer now.
    func peer(_ other: Node) async throws -> JSON { try await get("/v1/peers/\(other.id)") }

    func card() async throws -> String {
        try await HTTP.send(
            "GET", "/.well-known/aether-federation", port: port, headers: ["Accept": "application/jose"]
        ).text
    }

    /// Takes the other's card as that of a peer.
    func trust(_ other: Node, _ location: SourceLocation = #_sourceLocation) async throws {
        let added = try await api("POST", "/v1/peers", json: try await other.card(), type: "application/jose")
        #expect([200, 201].contains(added.status), "\(added.text)", sourceLocation: location)
    }

    /// Waits until a peer is trusted and healthy.
    func awaitHealthy(_ other: Node, within seconds: Double = 40, _ location: SourceLocation = #_sourceLocation)
        async throws
    {
        try await eventually("\(id) finds \(other.id) healthy", within: seconds, location) {
            let peer = try await self.peer(other)
            return peer["trusted"].bool == true && peer["health"].string == "healthy"
                && peer["status"].string == "online" && peer["roundTripMicroseconds"].int != nil
        }
    }
}

/// Two servers that trust each other, a world on each, a portal each way, a player.
struct Pair: Sendable {
    let alpha: Node
    let beta: Node

    static let out = "garden-gate"
    static let back = "harbour-steps"
    static let player = "alice"

    init(in scratch: Scratch) async throws {
        alpha = try await Node("alpha", in: scratch)
        beta = try await Node("beta", in: scratch)
        try await alpha.start()
        try await beta.start()
        try await alpha.trust(beta)
        try await beta.trust(alpha)
        try await alpha.awaitHealthy(beta)
        try await beta.awaitHealthy(alpha)
        for (node, world, portal, other, there) in [
            (alpha, "garden", Self.out, beta, "harbour"), (beta, "harbour", Self.back, alpha, "garden"),
        ] {
            try await Self.publish(world, on: node)
            let route = #"{"portal":"\#(portal)","destination":"\#(other.id)","world":"\#(there)"}"#
            let added = try await node.api("POST", "/v1/routes", json: route)
            #expect(added.status == 201, "\(added.text)")
        }
        let entered = try await alpha.api(
            "PUT", "/v1/worlds/garden/players/\(Self.player)", json: #"{"inventory":["lantern"]}"#,
            type: "application/octet-stream")
        #expect(entered.status == 201, "\(entered.text)")
    }

    /// A world of one small file.
    static func publish(_ world: String, on node: Node) async throws {
        // SHA-256 of the one byte 0x61, "a".
        let hash = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
        let kept = try await node.api("PUT", "/v1/assets/\(hash)", json: "a", type: "application/octet-stream")
        #expect(kept.status == 201, "\(kept.text)")
        let manifest =
            #"{"files":[{"path":"a","sha256":"\#(hash)","size":1,"type":"text/plain"}],"name":"W","version":1,"world":"\#(world)"}"#
        let put = try await node.api("PUT", "/v1/worlds/\(world)", json: manifest)
        #expect(put.status == 201, "\(put.text)")
    }

    /// Where the player is, as each server says.
    func presences() async throws -> [String: String] {
        var found: [String: String] = [:]
        for (node, world) in [(alpha, "garden"), (beta, "harbour")] {
            let player = try await node.get("/v1/worlds/\(world)/players/\(Self.player)@alpha")
            found[node.id] = player["presence"].string ?? "none"
        }
        return found
    }

    /// The servers on which the player can play.
    func playableAt() async throws -> [String] {
        try await presences().filter { $0.value == "playable" }.keys.sorted()
    }
}
