import Foundation
import Testing

extension Programs {
    @Suite("The doctor")
    struct Doctor {
        // MARK: A pair

        @Test("A healthy pair is ok in every line, from both sides, and the exit code is 0")
        func healthy() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                for (node, other) in [(pair.alpha, pair.beta), (pair.beta, pair.alpha)] {
                    let both = try await Diagnosis(of: node, "doctor", other.id, in: scratch)
                    #expect(both.code == 0 && both.lines.allSatisfy { $0.status == "ok" }, "\(both)")
                    #expect(
                        both.lines.map(\.check) == [
                            "trust", "dns", "tcp", "upgrade", "card", "channel", "suite", "health", "asked", "clock",
                            "suites", "there.trust", "there.health", "back.endpoint", "route", "assets",
                        ], "\(both)")
                    let alone = try await Diagnosis(of: node, "doctor", in: scratch)
                    #expect(alone.code == 0 && alone.lines.allSatisfy { $0.status == "ok" }, "\(alone)")
                    #expect(alone.lines.map(\.server).contains(other.id), "\(alone)")
                    let small = try await Diagnosis(of: node, "doctor", "--self", in: scratch)
                    #expect(small.code == 0 && !small.lines.map(\.server).contains(other.id), "\(small)")
                }
                let text = try await scratch.aether("doctor", "beta", "--data", pair.alpha.home)
                #expect(text.code == 0 && text.err.isEmpty && text.out.contains("All 16 are ok."), "\(text.out)")
                #expect(!text.out.contains("\u{1B}"), "colours in a pipe")
            }
        }

        /// Something that is broken by one request, and mended by another.
        struct Fault: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let expected: String
            var code: Int32 = 1
            /// On which server, the method, the path, the body.
            let breaks: [(onBeta: Bool, String, String, String?)]
            let mends: [(onBeta: Bool, String, String, String?)]
        }

        private static let everyScope = #"{"scopes":["heartbeat","route","assets","handoff"]}"#
        private static let openPolicy = #"{"allow":[],"deny":[],"introduces":true}"#

        static let faults = [
            Fault(
                testDescription: "a route that is switched off", expected: "route route.inactive warning", code: 0,
                breaks: [(false, "PATCH", "/v1/routes/garden-gate", #"{"active":false}"#)],
                mends: [(false, "PATCH", "/v1/routes/garden-gate", #"{"active":true}"#)]),
            Fault(
                testDescription: "a route to a world that the peer does not have",
                expected: "route world.unknown wrong",
                breaks: [
                    (false, "POST", "/v1/routes", #"{"portal":"hole","destination":"beta","world":"nowhere"}"#)
                ], mends: [(false, "DELETE", "/v1/routes/hole", nil)]),
            Fault(
                testDescription: "a peer that lets this server do everything but hand players in",
                expected: "route peer.scopeMissing.handoff wrong",
                breaks: [(true, "PATCH", "/v1/peers/alpha", #"{"scopes":["heartbeat","route","assets"]}"#)],
                mends: [(true, "PATCH", "/v1/peers/alpha", everyScope)]),
            Fault(
                testDescription: "a peer that is suspended here", expected: "trust server.suspended wrong",
                breaks: [(false, "POST", "/v1/peers/beta/suspend", #"{"reason":"a quarrel"}"#)],
                mends: [(false, "POST", "/v1/peers/beta/reinstate", nil)]),
            Fault(
                testDescription: "a peer that has suspended this server",
                expected: "there.trust server.suspended wrong",
                breaks: [(true, "POST", "/v1/peers/alpha/suspend", #"{"reason":"a quarrel"}"#)],
                mends: [(true, "POST", "/v1/peers/alpha/reinstate", nil)]),
            Fault(
                testDescription: "a peer that the policy denies", expected: "trust policy.denied wrong",
                breaks: [
                    (
                        false, "PUT", "/v1/policy",
                        openPolicy.replacingOccurrences(of: #""deny":[]"#, with: #""deny":["id:b*"]"#)
                    )
                ], mends: [(false, "PUT", "/v1/policy", openPolicy)]),
            Fault(
                testDescription: "a peer whose policy denies this server", expected: "there.trust policy.denied wrong",
                breaks: [
                    (
                        true, "PUT", "/v1/policy",
                        openPolicy.replacingOccurrences(of: #""deny":[]"#, with: #""deny":["id:a*"]"#)
                    )
                ], mends: [(true, "PUT", "/v1/policy", openPolicy)]),
            Fault(
                testDescription: "a peer that may do nothing here", expected: "trust peer.scopeMissing.heartbeat wrong",
                breaks: [(false, "PATCH", "/v1/peers/beta", #"{"scopes":[]}"#)],
                mends: [(false, "PATCH", "/v1/peers/beta", everyScope)]),
            Fault(
                testDescription: "a peer that has removed this server", expected: "there.trust peer.unknownThere wrong",
                breaks: [(true, "DELETE", "/v1/peers/alpha", nil)], mends: []),
        ]

        @Test("What operators decide is named on the side where it is seen")
        func decisions() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                for fault in Self.faults {
                    try await send(fault.breaks, pair)
                    let found = try await Diagnosis(of: pair.alpha, "doctor", "beta", in: scratch)
                    #expect(found.code == fault.code, "\(fault.testDescription): \(found)")
                    #expect(found.names(fault.expected), "\(fault.testDescription): \(found)")
                    try await send(fault.mends, pair)
                    guard !fault.mends.isEmpty else { continue }
                    try await pair.alpha.awaitHealthy(pair.beta)
                    try await pair.beta.awaitHealthy(pair.alpha)
                }
            }
        }

        private func send(_ requests: [(onBeta: Bool, String, String, String?)], _ pair: Pair) async throws {
            for (onBeta, method, path, body) in requests {
                let answer = try await (onBeta ? pair.beta : pair.alpha).api(method, path, json: body)
                try #require((200..<300).contains(answer.status), "\(method) \(path): \(answer.text)")
            }
        }

        @Test("A peer that is down, hangs, or has something else in its place is named as such")
        func impostors() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let (alpha, beta) = (pair.alpha, pair.beta)
                func expect(_ named: String, _ what: String) async throws {
                    let found = try await Diagnosis(of: alpha, "doctor", "beta", in: scratch)
                    #expect(found.code == 1 && found.names(named), "\(what): \(found)")
                }
                try await beta.kill()
                try await expect("tcp tcp.refused wrong", "down")
                let overview = try await Diagnosis(of: alpha, "doctor", in: scratch)
                #expect(overview.code == 1 && overview.names("tcp tcp.refused wrong"), "\(overview)")
                let silent = try Impostor(at: beta.port, answering: nil)
                try await expect("upgrade upgrade.silent wrong", "silent")
                silent.end()
                let web = try Impostor(at: beta.port, answering: Impostor.notFound)
                try await expect("upgrade upgrade.refused wrong", "another kind of server")
                web.end()
                // The same id with another key, made by somebody who has none of beta's files.
                let thief = try await Node("beta", in: scratch, under: "thief")
                try thief.set("listen", ["host": "127.0.0.1", "port": beta.port])
                try thief.set("endpoint", "ws://127.0.0.1:\(beta.port)")
                try await thief.start(at: beta.port)
                try await expect("card server.keyMismatch wrong", "another key")
                try await thief.kill()
                let other = try await Node("gamma", in: scratch)
                try other.set("listen", ["host": "127.0.0.1", "port": beta.port])
                try await other.start(at: beta.port)
                try await expect("card card.otherServer wrong", "another server")
                try await other.kill()
            }
        }

        @Test(
            "A clock that is off is told, and called wrong where tokens and handshakes are refused",
            arguments: [
                (10, "clock clock.off warning", 0), (60, "clock clock.wrong wrong", 1),
                (-60, "clock clock.wrong wrong", 1), (400, "card card.notYetValid wrong", 1),
                (-400, "asked inquiry.expired wrong", 1),
            ])
        func clocks(seconds: Int, expected: String, code: Int32) async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                try await alpha.start()
                try await beta.start()
                try await alpha.trust(beta)
                try await beta.trust(alpha)
                try await beta.kill()
                try beta.set("clock", ["offsetSeconds": seconds])
                try await beta.start()
                if code == 0 {
                    try await alpha.awaitHealthy(beta)
                    try await beta.awaitHealthy(alpha)
                }
                let found = try await Diagnosis(of: alpha, "doctor", "beta", in: scratch)
                #expect(found.code == code && found.names(expected), "\(found)\n\(alpha.log)")
            }
        }

        @Test("A peer that has never heard of this server says no more than that")
        func stranger() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                try await alpha.start()
                try await beta.start()
                let unknown = try await Diagnosis(of: alpha, "doctor", "beta", in: scratch)
                #expect(unknown.code == 1 && unknown.names("trust peer.unknown wrong"), "\(unknown)")
                try await alpha.trust(beta)
                try await eventually("beta has refused alpha") {
                    try await alpha.peer(beta)["dial"]["lastCode"].string == "untrustedPeer"
                }
                let found = try await Diagnosis(of: alpha, "doctor", "beta", in: scratch)
                #expect(found.code == 1 && found.names("asked peer.unknownThere wrong"), "\(found)")
                #expect(found.names("channel channel.untrustedPeer wrong"), "\(found)")
                #expect(
                    !found.lines.contains { $0.check.hasPrefix("back.") || $0.check.hasPrefix("there.") }, "\(found)")
            }
        }

        // MARK: TLS

        @Test("A certificate that is missing, unknown or for another name is told apart")
        func certificates() async throws {
            try await Scratch.use { scratch in
                let good = try await certificate("IP:127.0.0.1", "good", scratch)
                let other = try await certificate("DNS:elsewhere.example", "other", scratch)
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                try beta.set("endpoint", "wss://127.0.0.1:\(beta.port)")
                try await beta.start()
                try await alpha.start()
                try await alpha.trust(beta)
                func expect(_ named: String) async throws {
                    let found = try await Diagnosis(of: alpha, "doctor", "beta", in: scratch)
                    #expect(found.code == 1 && found.names(named), "\(found)")
                }
                try await expect("tls tls.notSpoken wrong")
                try await beta.kill()
                try beta.set("tls", ["certificate": good + ".pem", "key": good + ".key"])
                try await beta.start(at: nil)
                try await expect("tls tls.untrusted wrong")
                try await alpha.kill()
                try alpha.set("tls", ["trustRoots": good + ".pem"])
                try await alpha.start()
                // Now only that alpha is unknown there is left.
                try await expect("asked peer.unknownThere wrong")
                try await beta.kill()
                try await alpha.kill()
                try alpha.set("tls", ["trustRoots": other + ".pem"])
                try beta.set("tls", ["certificate": other + ".pem", "key": other + ".key"])
                try await alpha.start()
                try await beta.start(at: nil)
                try await expect("tls tls.otherName wrong")
            }
        }

        @Test(
            "The operator's own commands reach a server that speaks TLS, by its certificate's name, with no name server"
        )
        func ownCommands() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                for (name, isRight) in [("alpha.example", true), ("elsewhere.example", false)] {
                    let file = try await certificate("DNS:\(name)", name, scratch)
                    try alpha.set("endpoint", "wss://alpha.example:\(alpha.port)")
                    try alpha.set("tls", ["certificate": file + ".pem", "key": file + ".key"])
                    try await alpha.start(at: nil)
                    let listed = try await scratch.aether("peers", "list", "--data", alpha.home, "--json")
                    #expect((listed.code == 0) == isRight, "\(listed)")
                    #expect(listed.err.contains("https://alpha.example:\(alpha.port)") != isRight, "\(listed.err)")
                    let found = try await Diagnosis(of: alpha, "doctor", "--self", in: scratch)
                    #expect(found.names(isRight ? "server ok ok" : "server server.certificate warning"), "\(found)")
                    try await alpha.kill()
                }
            }
        }

        /// A certificate that has signed itself, and its key: `NAME.pem`, `NAME.key`.
        private func certificate(_ name: String, _ file: String, _ scratch: Scratch) async throws -> String {
            try await scratch.certificate(for: name, file)
        }

        // MARK: This server

        @Test("What is the matter with a server's own files is named while it does not run")
        func files() async throws {
            try await Scratch.use { scratch in
                let empty = try await scratch.aether("doctor", "--data", scratch.path + "/none", "--json")
                #expect(Diagnosis(empty).names("data data.missing wrong") && empty.code == 1, "\(empty.out)")
                let node = try await Node("alpha", in: scratch)
                let home = node.home
                func expect(_ named: String, _ location: SourceLocation = #_sourceLocation) async throws {
                    let found = try await Diagnosis(of: node, "doctor", in: scratch)
                    #expect(found.code == 1 && found.names(named), "\(found)", sourceLocation: location)
                }
                func swap(_ file: String, _ text: String, _ body: () async throws -> Void) async throws {
                    let path = URL(fileURLWithPath: home + "/" + file)
                    let before = try Data(contentsOf: path)
                    try Data(text.utf8).write(to: path)
                    chmod(path.path, 0o600)
                    try await body()
                    try before.write(to: path)
                    chmod(path.path, 0o600)
                }
                try await expect("server server.notRunning wrong")
                try await expect("port ok ok")
                try await swap("aether.json", "{") { try await expect("settings configuration.invalid wrong") }
                try await swap("identity.key", "nothing\n") { try await expect("keys identity.damaged wrong") }
                try await swap("next.key", "nothing\n") { try await expect("keys identity.damaged wrong") }
                try await swap("admin.sha256", "nothing\n") { try await expect("keys admin.damaged wrong") }
                try await swap("admin.key", "nothing\n") { try await expect("keys admin.mismatch wrong") }
                chmod(home + "/identity.key", 0o644)
                try await expect("keys data.readable wrong")
                chmod(home + "/identity.key", 0o600)
                chmod(home, 0o755)
                try await expect("data data.open warning")
                chmod(home, 0o700)
                let squatter = try Impostor(at: node.port, answering: Impostor.notFound)
                try await expect("server port.taken wrong")
                squatter.end()
                try node.set("listen", ["host": "203.0.113.7", "port": node.port])
                try await expect("port port.unusable wrong")
                try node.set("listen", ["host": "127.0.0.1", "port": node.port])
                try await node.start()
                _ = try await node.stop()
                let before = try Self.contents(home)
                try await expect("store ok ok")
                #expect(try Self.contents(home) == before, "something was changed")
                try await swap("federation.sqlite3", String(repeating: "no database", count: 1_000)) {
                    try await expect("store store.corrupt wrong")
                }
            }
        }

        /// Every file in a directory by its name.
        private static func contents(_ directory: String) throws -> [String: Data] {
            var found: [String: Data] = [:]
            for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
                found[name] = FileManager.default.contents(atPath: directory + "/" + name)
            }
            return found
        }

        @Test("An address of one's own that leads nowhere, or to somebody else, is named")
        func ownAddress() async throws {
            try await Scratch.use { scratch in
                let node = try await Node("alpha", in: scratch)
                let other = try await Node("beta", in: scratch)
                try await other.start()
                for (endpoint, named) in [
                    ("ws://127.0.0.1:\(try Loopback.freePort())", ["tcp tcp.refused wrong"]),
                    // Without any name server the answer may not come in time.
                    ("ws://nobody.invalid:7700", ["dns dns.unresolved wrong", "dns dns.timedOut wrong"]),
                    ("ws://127.0.0.1:\(other.port)", ["card card.otherServer wrong"]),
                ] {
                    try node.set("endpoint", endpoint)
                    try await node.start()
                    let found = try await Diagnosis(of: node, "doctor", "--self", in: scratch)
                    #expect(found.code == 1 && named.contains { found.names($0) }, "\(endpoint): \(found)")
                    try await node.kill()
                }
            }
        }

        @Test("Who is reached by a peer need not reach themselves")
        func hairpin() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                try alpha.set("endpoint", "ws://127.0.0.1:\(try Loopback.freePort())")
                // As beta's operator knows better.
                try beta.set("dial", ["alpha=ws://127.0.0.1:\(alpha.port)"])
                try await alpha.start()
                try await beta.start()
                try await alpha.trust(beta)
                let alone = try await Diagnosis(of: alpha, "doctor", "--self", in: scratch)
                #expect(alone.code == 1 && alone.names("tcp tcp.refused wrong"), "\(alone)")
                try await beta.trust(alpha)
                try await alpha.awaitHealthy(beta)
                try await beta.awaitHealthy(alpha)
                let found = try await Diagnosis(of: alpha, "doctor", in: scratch)
                #expect(found.code == 0 && found.names("tcp tcp.refused warning"), "\(found)")
                #expect(found.names("peer ok ok"), "\(found)")
            }
        }

        @Test(
            "A registry that is down, does not list this server or has suspended it is named; private addresses are no way"
        )
        func registries() async throws {
            try await Scratch.use { scratch in
                let strict = try await Node("strict", in: scratch, "--registry")
                let open = try await Node(
                    "open", in: scratch, "--registry", "--allow-private-addresses")
                for node in [strict, open] { try await node.start() }
                let down = "http://127.0.0.1:\(try Loopback.freePort())"
                let alpha = try await Node(
                    "alpha", in: scratch, "--registry-url", strict.address, "--registry-url", open.address,
                    "--registry-url", down)
                let beta = try await Node("beta", in: scratch, "--registry-url", open.address)
                try await beta.start()
                try await alpha.start()
                try await eventually("alpha is listed and knows beta", within: 60) {
                    let isListed = try await open.api("GET", "/v1/servers/alpha").status == 200
                    let isKnown = try await alpha.api("GET", "/v1/servers/beta").status == 200
                    return isListed && isKnown
                }
                let found = try await Diagnosis(of: alpha, "doctor", "--self", in: scratch)
                #expect(found.code == 1, "\(found)")
                for named in [
                    "registry ok ok", "registry registry.notListed wrong", "registry registry.unreachable wrong",
                ] {
                    #expect(found.names(named), "\(named): \(found)")
                }
                let suspended = try await open.api("POST", "/v1/servers/alpha/suspend", json: #"{"reason":"spam"}"#)
                #expect(suspended.status == 200, "\(suspended.text)")
                let later = try await Diagnosis(of: alpha, "doctor", "--self", in: scratch)
                #expect(later.names("registry registry.suspended wrong"), "\(later)")
                // Whom only a registry names may not lead this server into its own network.
                let policy = #"{"allow":[],"deny":[],"introduces":true,"registryListed":{"scopes":["heartbeat"]}}"#
                let set = try await alpha.api("PUT", "/v1/policy", json: policy)
                #expect(set.status == 200, "\(set.text)")
                let hidden = try await Diagnosis(of: alpha, "doctor", "beta", in: scratch)
                #expect(hidden.code == 1 && hidden.names("dns address.refused wrong"), "\(hidden)")
                // Where beta is listed is told as well; that a registry is down is not its fault.
                #expect(hidden.names("registry ok ok"), "\(hidden)")
                #expect(hidden.names("registry registry.unreachable warning"), "\(hidden)")
            }
        }
    }
}

/// What `aether doctor --json` has said.
struct Diagnosis: CustomStringConvertible {
    struct Line {
        let server: String
        let check: String
        let code: String
        let status: String
        let found: String
        let remedy: String?
    }

    let code: Int32
    let lines: [Line]
    private let out: String

    init(_ end: Child.End) {
        code = end.code
        out = end.out + end.err
        lines = JSON(end.out)["findings"].list.map {
            Line(
                server: $0["server"].string ?? "", check: $0["check"].string ?? "", code: $0["code"].string ?? "",
                status: $0["status"].string ?? "", found: $0["found"].string ?? "", remedy: $0["remedy"].string)
        }
    }

    /// Runs it for a server. Whatever is not ok says what to do, and everything is one line of JSON.
    init(of node: Node, _ arguments: String..., in scratch: Scratch) async throws {
        let end = try await scratch.aether(arguments + ["--data", node.home, "--json"], within: 60)
        self.init(end)
        try #require(!lines.isEmpty && end.err.isEmpty, "\(out)")
        #expect(end.out.split(separator: "\n").count == 1, "\(out)")
        #expect(lines.allSatisfy { $0.status == "ok" || $0.remedy?.isEmpty == false }, "\(out)")
        #expect((end.code == 1) == lines.contains { $0.status == "wrong" }, "\(out)")
    }

    /// Whether a line has this check, code and status.
    func names(_ expected: String) -> Bool {
        lines.contains { "\($0.check) \($0.code) \($0.status)" == expected }
    }

    var description: String {
        lines.isEmpty
            ? out : lines.map { "\($0.check) \($0.code) \($0.status): \($0.found)" }.joined(separator: "\n")
    }
}
