import ArgumentParser
import FederationCrypto
import FederationModel
import FederationSQLite
import FederationService
import Foundation

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Show and change this server's keys.",
        subcommands: [Show.self, Rotate.self, Revoke.self], defaultSubcommand: Show.self)

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show the fingerprint to read to another operator, and the public key.")

        @Option(help: ArgumentHelp("The data directory (else AETHER_DATA, else ~/.aether).", valueName: "dir"))
        var data: String?

        @Flag(help: "Print JSON instead of text.")
        var json = false

        func run() async throws {
            let directory = ServerHome(data)
            try directory.requireInitialised()
            let configuration = try await ConfigurationLoader(file: directory.configurationFile, flags: [:]).load()
            let key = try directory.identity(id: configuration.id).publicKey
            let commitment = try KeyFiles(home: directory, id: configuration.id).commitment()
            if json {
                Terminal.say(
                    jsonLine([
                        "id": configuration.id.rawValue, "fingerprint": key.fingerprint, "publicKey": key.description,
                        "next": commitment.next?.description ?? "", "recovery": commitment.recovery?.description ?? "",
                    ]))
                return
            }
            Terminal.say("\(Terminal.styled(configuration.id.rawValue, .bold))")
            Terminal.say("  fingerprint  \(key.fingerprint)")
            Terminal.say("  public key   \(key) (Ed25519)")
            Terminal.say("  next key     \(commitment.next == nil ? "not here: it cannot be rotated" : "committed to")")
            Terminal.say("  recovery     \(commitment.recovery == nil ? "none: it cannot be revoked" : "committed to")")
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rotate", abstract: "Go over to the next key. Peers follow by themselves.",
            discussion: """
                The running server signs the change with the old key, and its card with the new one. For an hour what the \
                old key has signed still counts with the peers, so that nothing on its way is lost. After a theft use \
                'aether keys revoke' instead.
                """)

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().request("POST", "/v1/keys/rotate")
            options.show(response) { answer in
                Terminal.say("The key is \(answer["fingerprint"].text()) from now on.")
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "revoke", abstract: "Make every key of this server void, with the recovery key.",
            discussion: """
                The recovery key is read from the terminal, or from standard input when that is a pipe. The new keys hold \
                at once in a running server, else when it starts next; peers drop their channels under the old keys as soon \
                as they hear of it.
                """)

        @Flag(help: "Leave no key in its place: the id is dead for good, everywhere.")
        var forGood = false

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let home = ServerHome(options.data)
            try home.requireInitialised()
            let configuration = try await ConfigurationLoader(file: home.configurationFile, flags: [:]).load()
            let keys = KeyFiles(home: home, id: configuration.id)
            let code = try readCode()
            let noted = try? await SQLiteStore.notedKeys(in: home.path)
            let promised = try noted?.commitment?.recovery ?? keys.recovery()
            guard promised == (try code.identity(of: configuration.id).publicKey.commitment) else {
                throw Refusal(
                    .forbidden, code: "recovery.other", reason: "that is the recovery key of another server",
                    remedy: "type the one that aether init has printed for \(configuration.id)")
            }
            if let promised { try keys.holdRecovery(to: promised) }
            // By the clock that the server is told to have.
            let time =
                Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)) + configuration.clockOffset
            let number = await number(at: time, keys)
            if forGood { return try await end(configuration.id, code, number, time) }
            if noted?.isDead == true { throw FederationServer.deadForGood }
            // One that waits has not been taken yet, and is as good as another.
            let waiting = try keys.waits(under: code, after: noted) ? await keys.replacement()?.identity.publicKey : nil
            let wasTaken = waiting != nil && waiting == noted?.present
            let key = try waiting ?? keys.makeReplacement(code, number: number, at: time)
            let outcome = try await tell(of: key, keys)
            options.json ? say(outcome, key, wasTaken) : explain(outcome, key, wasTaken)
        }

        private enum Outcome {
            case taken(AdminClient.Response?)
            /// No server has the directory open: the next one to start takes it.
            case waits
            /// A server has, and is not known to have taken it.
            case notTold(Refusal)
        }

        /// Has the running server take what waits. One that has just started may be taking it already.
        private func tell(of key: PublicKey, _ keys: KeyFiles) async throws -> Outcome {
            var attempt = 0
            while true {
                do {
                    let response = try await options.client().request("POST", "/v1/keys/replace")
                    guard response.json.fields["publicKey"].string == key.description else { throw Self.another }
                    return .taken(response)
                } catch let refusal as Refusal {
                    switch refusal.code {
                    case "keys.noReplacement":
                        guard try await keys.replacement() == nil else { throw Self.another }
                        return .taken(nil)
                    case "keys.busy" where attempt < Self.attempts,
                        ListeningRecord.notReadyCode where attempt < Self.attempts:
                        try await Task.sleep(for: .milliseconds(200))
                    case "server.unreachable", ListeningRecord.notReadyCode, ListeningRecord.unknownCode:
                        // The answer alone may be lost, and a server that begins looks for a replacement itself.
                        if try await keys.replacement() == nil { return .taken(nil) }
                        return try DataDirectory.owner(keys.home.path) == nil ? .waits : .notTold(refusal)
                    default: throw refusal
                    }
                }
                attempt += 1
            }
        }

        /// Some three seconds.
        private static let attempts = 15

        private static let another = Refusal(
            .conflict, code: "keys.otherServer",
            reason: "the server that answers has not taken the replacement in this data directory",
            remedy: "name the address of the server whose directory this is, or leave --server out")

        private func say(_ outcome: Outcome, _ key: PublicKey, _ wasTaken: Bool) {
            var members: [String: Any] = ["fingerprint": key.fingerprint, "publicKey": key.description]
            switch outcome {
            case .taken(let response?):
                for name in ["next", "recovery"] { members[name] = response.json.fields[name].string }
            case .taken: break
            case .waits: members["pending"] = "true"
            case .notTold: (members["pending"], members["running"]) = ("true", "true")
            }
            if wasTaken { members["takenBefore"] = "true" }
            Terminal.say(jsonLine(members))
        }

        private func explain(_ outcome: Outcome, _ key: PublicKey, _ wasTaken: Bool) {
            let again = "It was taken before. If it is to be void as well, "
            switch outcome {
            case .taken:
                Terminal.say("Every earlier key is void. The key is \(key.fingerprint) from now on.")
                if wasTaken { Terminal.say(again + "repeat the command.") }
            case .waits:
                Terminal.say(
                    "No server runs here. When it starts again its key is \(key.fingerprint), and every earlier one is void."
                )
                if wasTaken { Terminal.say(again + "start the server, and repeat the command then.") }
            case .notTold(let refusal):
                Terminal.say(
                    "A server has this directory and could not be told (\(refusal.reason)). Unless it is just beginning, its "
                        + "keys stay what they are until it is restarted. Then its key is \(key.fingerprint), and every "
                        + "earlier one is void.")
                if wasTaken { Terminal.say(again + "restart the server, and repeat the command then.") }
            }
        }

        /// Peers take no revocation whose number is not above the last one's.
        private func number(at time: Timestamp, _ keys: KeyFiles) async -> UInt64 {
            // What cannot be read must not keep stolen keys valid: the time is left.
            let taken = try? await SQLiteStore.lastRevocation(in: keys.home.path)
            let waiting = try? await keys.replacement()?.revocation
            return KeyRevocation.number(at: time, after: [taken, waiting].compactMap(\.self))
        }

        private func end(_ id: ServerID, _ code: RecoveryCode, _ number: UInt64, _ time: Timestamp) async throws {
            let revocation = KeyRevocation(issuer: id, number: number, replacement: nil, issuedAt: time)
                .issue(by: try code.identity(of: id))
            _ = try await options.client().request(
                "POST", "/v1/revocations", body: .bytes(Data(revocation.utf8), type: "application/jose"))
            // The answer is empty, and the revocation is nowhere else.
            guard !options.json else {
                return Terminal.say(jsonLine(["id": id.rawValue, "revocation": revocation]))
            }
            Terminal.say("\(id) is dead for good. Its peers that are connected have been told; stop it now.")
            Terminal.say("Hand this to whoever was not connected (POST /v1/revocations):")
            Terminal.say(revocation)
        }

        private func readCode() throws -> RecoveryCode {
            // Not among what a program reads.
            if isatty(0) == 1 { Terminal.error("The recovery key: ") }
            return try RecoveryCode(readLine() ?? "")
        }
    }
}
