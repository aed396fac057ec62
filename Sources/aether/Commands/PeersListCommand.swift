import ArgumentParser
import FederationCore
import FederationModel
import Foundation

extension PeersCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List peers: channel, trust, health, failures.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().get("/v1/peers")
            options.show(response) { body in
                var table = Table("ID", "STATE", "TRUST", "HEALTH", "RTT", "LAST ERROR")
                for peer in body["peers"].list {
                    let glance = PeerGlance(peer)
                    table.add(
                        glance.id, glance.state, glance.trust, glance.health, glance.roundTrip,
                        glance.lastError(short: true))
                    table.note(
                        "\(glance.source), may \(glance.scopes); key \(glance.keyAge) old; heard \(glance.heard);"
                            + " \(glance.queue) queued")
                }
                table.show(empty: "No peers yet. Add one: aether peers add ADDRESS")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show everything about one peer.")

        @Argument var id: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let response = try await options.client().get("/v1/peers/\(id)")
            options.show(response) { peer in
                let glance = PeerGlance(peer)
                let rows = [
                    ("name", peer["name"].text()), ("endpoint", peer["endpoint"].text()),
                    ("fingerprint", peer["fingerprint"].text()), ("key", "\(glance.keyAge) old"),
                    ("trusted by", peer["trust"].text()), ("may", glance.scopes),
                    ("peer since", peer["addedAt"].text()), ("state", glance.state), ("trust", glance.trust),
                    ("status", peer["status"].text()), ("health", glance.health), ("round trip", glance.roundTrip),
                    ("queued frames", glance.queue), ("last heard", glance.heard),
                    ("last error", glance.lastError(short: false)), ("attempts", peer["dial"]["attempts"].text()),
                ]
                Terminal.say(Terminal.styled(glance.id, .bold))
                for (name, value) in rows { Terminal.say("  " + name.padded(to: 15) + value) }
                if let reason = peer["suspensionReason"].string {
                    Terminal.say("  " + "suspended for".padded(to: 15) + reason)
                }
                if let seconds = peer["failingSeconds"].int {
                    Terminal.say(Terminal.styled("  ! not heard for \(humanTime(seconds))", .yellow))
                }
            }
        }
    }
}

/// A peer as a line of a table or a page shows it.
private struct PeerGlance {
    private let peer: JSONText.Fields

    init(_ peer: JSONText.Fields) {
        self.peer = peer
    }

    var id: String { peer["id"].text() }

    /// `connected in`, `waiting 12 s`, …
    var state: String {
        let state = peer["state"].text()
        switch state {
        case "connected": return peer["channel"].string.map { "\(state) \($0 == "incoming" ? "in" : "out")" } ?? state
        case "waiting":
            let milliseconds = peer["dial"]["nextRetryMilliseconds"].int ?? 0
            return "\(state) \(humanTime((milliseconds + 999) / 1_000))"
        default: return state
        }
    }

    var trust: String { peer["trusted"].bool == true ? "completed" : "none" }

    private var isConnected: Bool { peer["state"].string == "connected" }

    /// Of who is not connected nothing is known before heartbeats are missed, though nothing bad either.
    var health: String {
        if !isConnected, peer["health"].string == "healthy" { return "unknown" }
        return peer["health"].text() + (peer["vouchedFor"].bool == true ? " (by others' word)" : "")
    }

    var roundTrip: String {
        peer["roundTripMicroseconds"].int.map { "\((Double($0) / 100).rounded() / 10) ms" } ?? "–"
    }

    var queue: String { peer["queuedFrames"].text() }

    /// Why it is trusted, without the details: `pinned`, `registry`, `introduced`, `firstUse`.
    var source: String { String(peer["trust"].text().prefix { $0 != ":" }) }

    var scopes: String {
        let names = peer["scopes"].list.map { $0.text() }
        if names.count == PeerScopes.named.count { return "all" }
        return names.isEmpty ? "none" : names.joined(separator: ",")
    }

    var keyAge: String { age(of: peer["keySince"]) }

    var heard: String {
        peer["lastHeartbeat"].isNull ? "never" : "\(age(of: peer["lastHeartbeat"])) ago"
    }

    /// Why the last attempt to connect failed; in short only while there is no channel.
    func lastError(short: Bool) -> String {
        if short, isConnected { return "–" }
        guard let failure = peer["dial"]["lastFailure"].string else { return "–" }
        guard let code = peer["dial"]["lastCode"].string else { return oneLine(failure) }
        return short ? code : "\(oneLine(failure)) [\(code)]"
    }

    private func age(of time: JSONText.Fields) -> String {
        guard let text = time.string, let date = Self.date(text) else { return "–" }
        return humanTime(Int64(max(0, Date().timeIntervalSince(date))))
    }

    private static func date(_ text: String) -> Date? {
        try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}

/// Times as people say them, in the largest unit that fits.
func humanTime(_ seconds: Int64) -> String {
    switch seconds {
    case ..<120: "\(seconds) s"
    case ..<7_200: "\(seconds / 60) min"
    case ..<172_800: "\(seconds / 3_600) h"
    default: "\(seconds / 86_400) d"
    }
}
