import ArgumentParser
import FederationCrypto
import FederationModel
import Foundation

struct PeersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers", abstract: "Decide which servers this one trusts.",
        subcommands: [
            Add.self, List.self, Show.self, Remove.self, Suspend.self, Reinstate.self, Scopes.self, Heard.self,
        ],
        defaultSubcommand: List.self)

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add",
            abstract: "Trust a server: fetch its signed card, compare the fingerprint, pin its key.")

        @Argument(help: "Its address: beta.example.org, host:port, aether://host, wss://host:port or https://host.")
        var address: String

        @Option(help: "The fingerprint that its operator told you; anything else is refused.")
        var fingerprint: String?

        @Flag(help: "Trust what answers, without comparing the fingerprint.")
        var yes = false

        @Flag(help: "Let the name lead to loopback, private and link-local addresses.")
        var allowPrivateAddresses = false

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let address = try CardFetcher.address(address)
            let local = try await options.configuration()
            let policy = AddressPolicy(allowsPrivate: allowPrivateAddresses || local?.network.allowsPrivate == true)
            let fetcher = try CardFetcher(policy: policy, trustRoots: local?.tlsTrustRoots)
            let found = try await fetcher.fetch(address)
            let (text, card) = (found.text, found.card)
            // Where the operator has said how the server is reached, the address in its card does not matter.
            if local?.addresses[card.id] == nil { try await fetcher.prove(found) }
            let shown = card.publicKey.fingerprint
            if !options.json { Self.describe(found) }
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
            options.show(response) { peer in
                Terminal.say("\(card.id) (\(card.name)) is a peer now; its key \(shown) is pinned.")
                Terminal.say(
                    peer["status"].string == "suspended"
                        ? "It is suspended here all the same: aether peers reinstate \(card.id)"
                        : "Its operator adds this server too, if they have not yet: then aether peers list shows it as trusted."
                )
            }
        }

        /// What the card says, before anything is decided. Everything in it is plain text by the card's own rules.
        private static func describe(_ found: CardFetcher.Found) {
            let card = found.card
            let worlds = card.worlds.prefix(8).map(\.rawValue) + (card.worlds.count > 8 ? ["…"] : [])
            let rows: [(String, String?)] = [
                ("id", Terminal.styled(card.id.rawValue, .bold)), ("name", card.name),
                ("found at", found.origin.httpBase),
                ("endpoints", card.endpoints.map(\.description).joined(separator: ", ")),
                ("worlds", worlds.isEmpty ? "none" : worlds.joined(separator: ", ")),
                ("contact", card.contact),
                ("fingerprint", Terminal.styled(card.publicKey.fingerprint, .bold)),
            ]
            for case (let name, let value?) in rows { Terminal.say("  " + name.padded(to: 13) + value) }
            if !card.endpoints.map(\.host).contains(found.origin.host) {
                Terminal.say("  It is reached at another host than the one that you named: make sure that you mean it.")
            }
        }

        private func confirm(_ card: ServerCard, _ shown: String) throws {
            guard isatty(0) == 1 else {
                throw Refusal(
                    .forbidden, code: "peer.unconfirmed",
                    reason: "\(card.id) shows the fingerprint \(shown), which nobody has compared",
                    remedy: "ask its operator for it, then repeat with --fingerprint '\(shown)' (or --yes)")
            }
            // A program reads standard output; the person who answers reads this.
            if options.json { Terminal.error("\(card.id) shows the fingerprint \(shown).") }
            Terminal.error("Read the fingerprint aloud with its operator. Is it the same? [y/N] ")
            guard readLine()?.lowercased().hasPrefix("y") == true else {
                throw Refusal(
                    .forbidden, code: "peer.declined", reason: "\(card.id) was not added", remedy: "nothing has changed"
                )
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Stop trusting a server, at once.")

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
        static let configuration = CommandConfiguration(
            commandName: "suspend", abstract: "Exclude a server until it is reinstated.")

        @Argument var id: String
        @Option(help: "Why, for the record.")
        var reason = "suspended by the operator"
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let response = try await options.client().request(
                "POST", "/v1/peers/\(id)/suspend", body: .json(["reason": reason]))
            options.show(response) { _ in Terminal.say("\(id) is suspended; its channel is closed.") }
        }
    }

    struct Reinstate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "reinstate", abstract: "End a suspension.")

        @Argument var id: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let client = try await options.client()
            // Not to be taken for a way back for one that was removed.
            let before = try? await client.get("/v1/servers/\(id)").json.fields["status"].string
            let response = try await client.request("POST", "/v1/peers/\(id)/reinstate")
            let isPeer = (try? await client.get("/v1/peers/\(id)")) != nil
            options.show(response) { _ in
                let done =
                    before ?? "suspended" == "suspended"
                    ? "is reinstated\(isPeer ? ", and offline until it answers" : "")."
                    : "was not suspended; nothing has changed."
                Terminal.say("\(id) \(done)" + (isPeer ? "" : " It is no peer: aether peers add, to trust it"))
            }
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
