import Foundation
import Testing

extension Programs {
    @Suite("The configuration")
    struct Configuration {
        private func check(_ text: String, environment: [String: String] = [:], _ arguments: String...) async throws
            -> Child.End
        {
            var end: Child.End?
            try await Scratch.use { scratch in
                let home = scratch.path + "/home"
                try await scratch.aether("init", "--id", "a", "--data", home)
                _ = try scratch.write("no certificate", to: "garbage.pem")
                let text = text.replacingOccurrences(of: "SCRATCH", with: scratch.path)
                try Data(text.utf8).write(to: URL(fileURLWithPath: home + "/aether.json"))
                end = try await scratch.aether(
                    ["serve", "--check", "--data", home] + arguments, environment: environment)
            }
            return try #require(end)
        }

        @Test("A good one is good", arguments: [#"{"id":"a","endpoint":"ws://a.example:7700"}"#])
        func good(text: String) async throws {
            let end = try await check(text)
            #expect(end.code == 0 && end.out == "The configuration is good.\n", "\(end.err)")
        }

        @Test(
            "Every kind of mistake is explained by its name",
            arguments: [
                ("{", "is not a JSON object"), ("[1]", "aether.json"),
                (#"{"endpoint":"ws://a:1"}"#, "id is missing"), (#"{"id":"a"}"#, "endpoint is missing"),
                (#"{"id":"A b","endpoint":"ws://a:1"}"#, "id 'A b' is refused"),
                (#"{"id":"a","endpoint":"http://a:1"}"#, "endpoint 'http://a:1' is refused"),
                (#"{"id":"a","endpoint":"wss://a:1"}"#, "there is no tls.certificate"),
                (#"{"id":"a","endpoint":"ws://a:1","name":"a\nb"}"#, "name: "),
                (#"{"id":"a","endpoint":"ws://a:1","listen":{"port":70000}}"#, "listen.port must be a whole number"),
                (#"{"id":"a","endpoint":"ws://a:1","listen":{"port":"x"}}"#, "listen.port 'x' is not a number"),
                (#"{"id":"a","endpoint":"ws://a:1","listen":{"prot":1}}"#, "listen.prot in "),
                (
                    #"{"id":"a","endpoint":"ws://a:1","listen":{"connections":0}}"#,
                    "listen.connections must be a whole number"
                ),
                (
                    #"{"id":"a","endpoint":"ws://a:1","listen":{"connectionsPerAddress":"x"}}"#,
                    "listen.connectionsPerAddress 'x' is not a number"
                ),
                (
                    #"{"id":"a","endpoint":"ws://a:1","heartbeat":{"intervalSeconds":0}}"#,
                    "heartbeat.intervalSeconds must be"
                ),
                (
                    #"{"id":"a","endpoint":"ws://a:1","heartbeat":{"degradedAfter":5,"unreachableAfter":5}}"#,
                    "must be less than unreachableAfter"
                ),
                (#"{"id":"a","endpoint":"ws://a:1","logLevel":"loud"}"#, "logLevel 'loud' is refused"),
                (
                    #"{"id":"a","endpoint":"ws://a:1","suites":{"allowClassical":"perhaps"}}"#,
                    "suites.allowClassical must be"
                ),
                (#"{"id":"a","endpoint":"ws://a:1","clock":{"offsetSeconds":1e9}}"#, "clock.offsetSeconds must be"),
                (
                    #"{"id":"a","endpoint":"ws://a:1","tls":{"certificate":"/nowhere","key":"/nowhere"}}"#,
                    "/nowhere cannot be read"
                ),
                (#"{"id":"a","endpoint":"ws://a:1","tls":{"certificate":"SCRATCH/garbage.pem"}}"#, "go together"),
                (
                    #"{"id":"a","endpoint":"ws://a:1","tls":{"certificate":"SCRATCH/garbage.pem","key":"SCRATCH/garbage.pem"}}"#,
                    "holds no readable certificate"
                ),
                // What would listen for everybody, and serve in the clear, if it were passed over.
                (
                    #"{"id":"a","endpoint":"ws://a:1","listen":{"host":["127.0.0.1"]}}"#,
                    #"listen.host must be text, not ["127.0.0.1"]"#
                ),
                (#"{"id":"a","endpoint":"ws://a:1","listen":{"host":""}}"#, "listen.host is empty"),
                (
                    #"{"id":"a","endpoint":"ws://a:1","tls":{"certificate":["c"],"key":["k"]}}"#,
                    #"tls.key must be text, not ["k"]"#
                ),
                (
                    #"{"id":"a","endpoint":"ws://a:1","tls":{"certificate":"","key":""}}"#, "tls.certificate is empty"
                ),
                (#"{"id":"a","endpoint":"ws://a:1","bogus":{}}"#, "bogus in "),
                (#"{"id":"a","endpoint":"ws://a:1","tls":[]}"#, "tls in "),
                (
                    #"{"id":"a","endpoint":"ws://a:1","listen":{"port":1},"listen.port":2}"#, "listen.port stands twice"
                ),
                (#"{"id":"a","id":"b","endpoint":"ws://a:1"}"#, "the key 'id' stands twice"),
            ])
        func mistakes(text: String, explanation: String) async throws {
            let end = try await check(text)
            #expect(end.code == 1 && end.out.isEmpty, "\(end.out)")
            #expect(end.complaints.contains { $0.hasPrefix("aether: ") && $0.contains(explanation) }, "\(end.err)")
        }

        /// Every setting, and what it is.
        private static let kinds: [String: String] = {
            var kinds: [String: String] = [:]
            for key in [
                "id", "name", "endpoint", "listen.host", "logLevel", "tls.certificate", "tls.key", "tls.trustRoots",
            ] { kinds[key] = "text" }
            for key in [
                "listen.port", "listen.connections", "listen.connectionsPerAddress", "heartbeat.intervalSeconds",
                "heartbeat.degradedAfter", "heartbeat.unreachableAfter", "heartbeat.recoverySuccesses",
                "handoff.acceptSeconds", "handoff.arrivalSeconds", "handoff.retentionHours",
                "registry.maximumServers", "registry.maximumListed", "clock.offsetSeconds",
            ] { kinds[key] = "a number" }
            for key in ["network.allowPrivate", "suites.allowClassical", "registry.serve"] {
                kinds[key] = "true or false"
            }
            for key in ["dial", "registries"] { kinds[key] = "a list of texts" }
            return kinds
        }()

        @Test("The table of settings that these tests walk is the loader's")
        func everySetting() throws {
            let source = try String(
                contentsOfFile: Program.project + "/Sources/aether/Configuration/ConfigurationLoader.swift",
                encoding: .utf8)
            let names = ["text": "text", "number": "a number", "truth": "true or false", "list": "a list of texts"]
            var found: [String: String] = [:]
            for match in source.matches(of: /"([A-Za-z.]+)", \.(text|number|truth|list),/) {
                found[String(match.1)] = names[String(match.2)]
            }
            #expect(found == Self.kinds)
        }

        @Test(
            "No setting that holds another kind of value than its own is passed over; each is told in one line",
            arguments: ["null", "{}", #"{"a":1}"#, #"[["a"]]"#, "[1]", "true", "5", #"["a"]"#, "[]", #""true""#])
        func wrongKinds(value: String) async throws {
            /// Settings for which it is of the right kind, or a text that is read as one before it is refused.
            let suits: [String: Set<String>] = [
                "true": ["true or false"], "5": ["a number"], #"["a"]"#: ["a list of texts"],
                "[]": ["a list of texts"], #""true""#: ["text", "a number"],
            ]
            let wrong = Self.kinds.filter { suits[value]?.contains($0.value) != true }
            var sections: [String: [String]] = [:]
            for key in wrong.keys.sorted() {
                let parts = key.split(separator: ".").map(String.init)
                sections[parts.count == 2 ? parts[0] : "", default: []].append("\"\(parts[parts.count - 1])\":\(value)")
            }
            let members = sections.flatMap { section, members in
                section.isEmpty ? members : ["\"\(section)\":{\(members.joined(separator: ","))}"]
            }
            let end = try await check("{" + members.joined(separator: ",") + "}")
            #expect(end.code == 1 && end.out.isEmpty, "\(end.out)")
            for (key, kind) in wrong {
                let told = end.complaints.filter { $0.hasPrefix("aether: \(key) ") }
                #expect(told == ["aether: \(key) must be \(kind), not \(value)"], "\(key): \(end.err)")
            }
        }

        @Test("A key that cannot be used is found by the check, and not only when its turn has come")
        func unusableNextKey() async throws {
            try await Scratch.use { scratch in
                let home = scratch.path + "/home"
                let file = home + "/next.key"
                #expect(try await scratch.aether("init", "--id", "a", "--data", home).code == 0)
                func check(_ part: String) async throws {
                    let end = try await scratch.aether("serve", "--check", "--data", home)
                    #expect(end.code == 1 && end.out.isEmpty && end.complaints.count == 1, "\(end.out) \(end.err)")
                    #expect(end.err.hasPrefix("aether: \(file) \(part)"), "\(end.err)")
                }
                chmod(file, 0o644)
                try await check("can be read by others")
                chmod(file, 0o600)
                #expect(try await scratch.aether("serve", "--check", "--data", home).code == 0)
                try Data("abc".utf8).write(to: URL(fileURLWithPath: file))
                try await check("does not hold a key")
            }
        }

        @Test("Several mistakes are told together, one line each")
        func several() async throws {
            let end = try await check(#"{"id":"A","endpoint":"x","logLevel":"y","bogus":1}"#)
            #expect(end.code == 1 && end.complaints.count == 4, "\(end.err)")
        }

        @Test("Flags come before the environment, which comes before the file")
        func precedence() async throws {
            try await Scratch.use { scratch in
                let ports = try (0..<3).map { _ in try Loopback.freePort() }
                let home = scratch.path + "/home"
                try await scratch.aether(
                    "init", "--id", "a", "--host", "127.0.0.1", "--port", "\(ports[0])", "--data", home)
                let environment = ["AETHER_LISTEN_PORT": "\(ports[1])"]
                for (arguments, environment, port) in [
                    ([], [:], ports[0]), ([], environment, ports[1]),
                    (["--port", "\(ports[2])"], environment, ports[2]),
                ] {
                    let child = try scratch.start(
                        Program.aether, ["serve", "--data", home, "--end-with-input"] + arguments,
                        environment: environment)
                    try await eventually("a server on \(port): \(child.err)") {
                        (try? await HTTP.send("GET", "/healthz", port: port).status) == 200
                    }
                    child.signal(SIGTERM)
                    let end = try await child.end()
                    #expect(end.code == 0, "\(end.err)")
                }
            }
        }

        @Test("A server that cannot start says why in one line, and ends")
        func cannotStart() async throws {
            try await Scratch.use { scratch in
                let node = try await Node("a", in: scratch)
                let other = try await Node("b", in: scratch)
                try await node.start()
                func refused(_ part: String, _ arguments: String...) async throws {
                    let end = try await scratch.aether(["serve", "--end-with-input"] + arguments)
                    let last = end.complaints.last ?? ""
                    #expect(end.code == 1 && last.hasPrefix("aether: ") && last.contains(part), "\(end.err)")
                }
                try await refused("is in use by process", "--data", node.home, "--port", "\(try Loopback.freePort())")
                try await refused(
                    "cannot listen on 127.0.0.1:\(node.port)", "--data", other.home, "--port", "\(node.port)")
                try await refused(
                    "the name no host is not known here — correct listen.host", "--data", other.home, "--host",
                    "no host")
                // TEST-NET-1 (RFC 5737).
                try await refused(
                    "192.0.2.1 is no address of this machine — correct listen.host", "--data", other.home, "--host",
                    "192.0.2.1")
                chmod(other.home + "/identity.key", 0o644)
                try await refused("can be read by others", "--data", other.home)
                chmod(other.home + "/identity.key", 0o600)
                try Data("abc".utf8).write(to: URL(fileURLWithPath: other.home + "/admin.sha256"))
                try await refused("does not hold a hash", "--data", other.home)
                try FileManager.default.removeItem(atPath: other.home + "/admin.sha256")
                try await refused("the admin key's hash is missing", "--data", other.home)
                try Data("abc".utf8).write(to: URL(fileURLWithPath: other.home + "/identity.key"))
                try await refused("does not hold a key", "--data", other.home)
                let check = try await scratch.aether("serve", "--check", "--data", other.home)
                #expect(check.code == 1 && check.complaints.count == 2, "\(check.err)")
                try FileManager.default.removeItem(atPath: other.home + "/identity.key")
                try await refused("holds no server", "--data", other.home)
            }
        }
    }
}
