import ArgumentParser
import FederationCrypto
import FederationModel
import Foundation

struct PeersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers", abstract: "Decide which servers this one trusts.",
        subcommands: [Add.self, List.self, Remove.self, Suspend.self, Reinstate.self], defaultSubcommand: List.self)

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Trust a server: fetch its signed card, compare the fingerprint, pin its key.")

        @Argument(help: "Its address: aether://host, ws://host:port, wss://host:port, http:// or https://.")
        var address: String

        @Option(help: "The fingerprint that its operator told you; anything else is refused.")
        var fingerprint: String?

        @Flag(help: "Trust what answers, without comparing the fingerprint.")
        var yes = false

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let (text, card) = try await CardFetcher.fetch(address)
            let shown = card.publicKey.fingerprint
            if let fingerprint {
                guard CardFetcher.isSame(fingerprint, shown) else {
                    throw Refusal(
                        .forbidden, code: "peer.otherFingerprint",
                        reason: "\(card.id) shows the fingerprint \(shown), not the one you named",
                        remedy: "do not trust it; ask its operator")
                }
            } else if !yes {
                try confirm(card, shown)
            }
            let response = try await options.client().request(
                "POST", "/v1/peers", body: .bytes(Data(text.utf8), type: "application/jose"))
            options.show(response) { _ in
                Terminal.say("\(card.id) (\(card.name)) is a peer now; its key \(shown) is pinned.")
                Terminal.say("Its operator must add this server too: then aether peers list shows it as trusted.")
            }
        }

        private func confirm(_ card: ServerCard, _ shown: String) throws {
            guard isatty(0) == 1 else {
                throw Refusal(
                    .forbidden, code: "peer.unconfirmed",
                    reason: "\(card.id) shows the fingerprint \(shown), which nobody has compared",
                    remedy: "ask its operator for it, then repeat with --fingerprint '\(shown)' (or --yes)")
            }
            Terminal.say("\(card.id) (\(card.name)) at \(card.endpoint) shows the fingerprint")
            Terminal.say("  \(Terminal.styled(shown, .bold))")
            Terminal.say("Read it aloud with its operator. Is it the same? [y/N] ")
            guard readLine()?.lowercased().hasPrefix("y") == true else {
                throw Refusal(
                    .forbidden, code: "peer.declined", reason: "\(card.id) was not added", remedy: "nothing has changed"
                )
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List peers, with trust and health.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().get("/v1/peers")
            options.show(response) { body in
                var table = Table("ID", "STATUS", "TRUST", "HEALTH", "RTT", "ENDPOINT")
                for peer in body["peers"].list {
                    let micros = peer["roundTripMicroseconds"].int
                    table.add(
                        peer["id"].text(), peer["status"].text(), peer["trusted"].bool == true ? "completed" : "none",
                        peer["health"].text(), micros.map { "\((Double($0) / 100).rounded() / 10) ms" } ?? "–",
                        peer["endpoint"].text())
                }
                table.show(empty: "No peers yet. Add one: aether peers add ADDRESS")
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stop trusting a server, at once.")

        @Argument var id: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            _ = try await options.client().request("DELETE", "/v1/peers/\(id)")
            Terminal.say(
                options.json ? jsonLine(["removed": id.rawValue]) : "\(id) is no longer a peer; its channel is closed.")
        }
    }

    struct Suspend: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Exclude a server until it is reinstated.")

        @Argument var id: String
        @Option(help: "Why, for the record.") var reason = "suspended by the operator"
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let response = try await options.client().request(
                "POST", "/v1/peers/\(id)/suspend", body: .json(["reason": reason]))
            options.show(response) { _ in Terminal.say("\(id) is suspended; its channel is closed.") }
        }
    }

    struct Reinstate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "End a suspension.")

        @Argument var id: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let response = try await options.client().request("POST", "/v1/peers/\(id)/reinstate")
            options.show(response) { _ in Terminal.say("\(id) is reinstated, and offline until it answers.") }
        }
    }
}

/// Parses an argument or says what is expected (exit code 64).
func identifier<Value: Identifier>(_ text: String, as type: Value.Type) throws -> Value {
    guard let value = Value(rawValue: text) else {
        throw ValidationError("'\(text)' is not a \(Value.noun): \(Value.grammar)")
    }
    return value
}
