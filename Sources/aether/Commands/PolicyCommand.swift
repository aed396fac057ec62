import ArgumentParser
import FederationCore
import FederationCrypto
import FederationModel
import Foundation

/// `aether policy`: whom a server trusts besides the peers that its operator adds by hand. Every change holds at once.
struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Decide whom this server trusts by itself, and whom never.",
        discussion: """
            A PATTERN is \(TrustPattern.grammar).

              aether policy deny '*.bad-guild' address:203.0.113.0/24
              aether policy trust registry-listed on --scopes heartbeat,route
              aether policy trust introduced 2
              aether policy trust first-use off
            """,
        subcommands: [
            Show.self, SetFile.self, Allow.self, Deny.self, Remove.self, Trust.self, Introduce.self,
        ], defaultSubcommand: Show.self)

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "show", abstract: "Show the policy.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().get("/v1/policy")
            try PolicyCommand.show(response, options)
        }
    }

    struct SetFile: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Replace the policy by the JSON in a file, as show --json prints it.")

        @Argument(help: "The file; - for standard input.") var file: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let bytes: Data
            if file == "-" {
                bytes = try FileHandle.standardInput.readToEnd() ?? Data()
            } else {
                guard let read = FileManager.default.contents(atPath: file) else {
                    throw Refusal(
                        .notFound, code: "policy.noFile", reason: "\(file) cannot be read",
                        remedy: "name a file with a policy: aether policy show --json > FILE")
                }
                bytes = read
            }
            let response = try await options.client().request(
                "PUT", "/v1/policy", body: .bytes(bytes, type: "application/json"))
            try PolicyCommand.show(response, options)
        }
    }

    struct Allow: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "allow", abstract: "Let only servers that the allow list names be trusted without a pin.")

        @Argument(help: "Who.") var patterns: [String]
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let added = try PolicyCommand.parse(patterns)
            try await PolicyCommand.change(options) { policy in
                policy.allow += added.filter { !policy.allow.contains($0) }
            }
        }
    }

    struct Deny: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "deny",
            abstract: "Trust nobody whom the pattern means, pinned or not; channels close at once.")

        @Argument(help: "Who.") var patterns: [String]
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let added = try PolicyCommand.parse(patterns)
            try await PolicyCommand.change(options) { policy in
                policy.deny += added.filter { !policy.deny.contains($0) }
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Take patterns out of both lists.")

        @Argument(help: "As show prints them, or as they were given.") var patterns: [String]
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let removed = try PolicyCommand.parse(patterns)
            try await PolicyCommand.change(options) { policy throws(Refusal) in
                for pattern in removed where !policy.allow.contains(pattern) && !policy.deny.contains(pattern) {
                    throw Refusal(
                        .notFound, code: "policy.noPattern", reason: "\(pattern) stands in neither list",
                        remedy: "see aether policy show")
                }
                policy.allow.removeAll(where: removed.contains)
                policy.deny.removeAll(where: removed.contains)
            }
        }
    }

    struct Trust: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "trust",
            abstract:
                "Trust servers that a registry lists, that peers have introduced, or that come for the first time.")

        enum Reason: String, ExpressibleByArgument, CaseIterable {
            case registryListed = "registry-listed"
            case introduced
            case firstUse = "first-use"
        }

        @Argument(help: "registry-listed, introduced or first-use.") var reason: Reason
        @Argument(help: "on or off; for introduced: off, or how many introducers are enough.") var value: String
        @Option(help: "What they may do: heartbeat,route,assets,handoff.") var scopes: String?
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let scopes = try PolicyCommand.scopes(scopes) ?? .all
            let (reason, value) = (reason, value)
            let count = Int(value).flatMap { (1...Limits.introducers).contains($0) ? $0 : nil }
            guard value == "off" || (reason == .introduced ? count != nil : value == "on") else {
                throw ValidationError(
                    reason == .introduced
                        ? "introduced takes off, or a number from 1 to \(Limits.introducers)"
                        : "\(reason.rawValue) takes on or off")
            }
            try await PolicyCommand.change(options) { policy in
                let granted = value == "off" ? nil : scopes
                switch reason {
                case .registryListed: policy.registryListed = granted
                case .firstUse: policy.firstUse = granted
                case .introduced: policy.introducedBy = count.map { .init(count: $0, scopes: scopes) }
                }
            }
        }
    }

    struct Introduce: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "introduce",
            abstract: "Tell peers of one another, or do not; those with the route scope only.")

        @Argument(help: "on or off.") var value: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            guard ["on", "off"].contains(value) else { throw ValidationError("introduce takes on or off") }
            let isOn = value == "on"
            try await PolicyCommand.change(options) { $0.introduces = isOn }
        }
    }

    // MARK: Common parts

    static func parse(_ texts: [String]) throws -> [TrustPattern] {
        try texts.map { text in
            guard let pattern = TrustPattern(text) else {
                throw ValidationError("'\(text)' is not a pattern: \(TrustPattern.grammar)")
            }
            return pattern
        }
    }

    /// Scopes with commas between; nil for none given.
    static func scopes(_ text: String?) throws -> PeerScopes? {
        guard let text else { return nil }
        guard let scopes = PeerScopes(text), scopes.problem == nil else {
            throw ValidationError("'\(text)' are no scopes: heartbeat, and any of route, assets, handoff after it")
        }
        return scopes
    }

    private static func change(
        _ options: ServerOptions, _ change: (inout TrustPolicy) throws(Refusal) -> Void
    ) async throws {
        let client = try await options.client()
        for attempt in 1...Self.attempts {
            let read = try await client.get("/v1/policy")
            var policy = try policy(read)
            try change(&policy)
            do {
                let response = try await client.request(
                    "PUT", "/v1/policy", body: .bytes(Data(policy.json.serialized()), type: "application/json"),
                    headers: read.headers["etag"].map { ["If-Match": $0] } ?? [:])
                return try show(response, options)
            } catch let refusal as Refusal {
                // Another operator was sooner: the change is made on what they have left.
                guard refusal.code == "policy.changed", attempt < Self.attempts else { throw refusal }
            }
        }
    }

    private static let attempts = 20

    private static func policy(_ response: AdminClient.Response) throws -> TrustPolicy {
        try TrustPolicy(json: try JSONValue.parse(Array(response.body)))
    }

    private static func show(_ response: AdminClient.Response, _ options: ServerOptions) throws {
        if options.json { return options.show(response) { _ in } }
        let policy = try policy(response)
        func granted(_ scopes: PeerScopes?) -> String { scopes.map { "on: \($0)" } ?? "off" }
        Terminal.say("registry-listed  \(granted(policy.registryListed))")
        let introduced = policy.introducedBy.map { "by \($0.count) or more: \($0.scopes)" } ?? "off"
        Terminal.say("introduced       \(introduced)")
        Terminal.say("first-use        \(granted(policy.firstUse))")
        Terminal.say("introduce        \(policy.introduces ? "on" : "off")")
        for (name, patterns) in [("allow", policy.allow), ("deny", policy.deny)] {
            for pattern in patterns {
                Terminal.say("\(name.padding(toLength: 16, withPad: " ", startingAt: 0)) \(pattern)")
            }
        }
        if !policy.isAutomatic { Terminal.say("Only peers that were added by hand are trusted.") }
    }
}
