import Foundation
import Testing

extension Programs {
    @Suite("The commands")
    struct Commands {
        /// One line that says what was refused, why and what to do.
        private func isOneLine(_ end: Child.End) -> Bool {
            end.complaints.count == 1 && end.err.hasPrefix("aether: ") && end.err.contains(" — ")
        }

        @Test(
            "Misuse is exit code 64",
            arguments: [
                "bogus", "init", "init --id Bad", "init --id a..b", "init --id a --port 0", "init --id a --port 65536",
                "init --id a --port x", "init --id a --endpoint http://x:1", "init --id a --endpoint ws://x:0",
                "serve --port 70000", "serve --port x", "serve --endpoint nonsense", "serve --log-level loud",
                "serve --bogus",
                "status --server ftp://x", "peers add Beta.example", "peers add beta.example.",
                "peers add b\u{435}ta.example",
                "peers add beta/x", "peers add u@beta.example", "peers add aether://", "peers remove BAD",
                "peers suspend a/b", "players show a/b", "players reclaim alice --yes", "worlds events",
                "peers reinstate -", "peers scopes BAD", "peers scopes b route", "peers scopes b fly",
                "policy deny A", "policy allow", "policy remove key:1",
                "policy trust hearsay on",
                "policy trust introduced on",
                "policy trust introduced 0", "policy trust first-use 1", "policy trust first-use on --scopes route",
                "policy introduce maybe", "registry list --status asleep", "registry show BAD", "routes add BAD b w",
                "routes add p BAD w", "routes add p b BAD", "routes add p b w --spawn 1,2",
                "routes add p b w --spawn 1,2,nan",
                "routes on BAD", "routes off BAD", "routes remove BAD", "routes resolve BAD", "worlds add BAD .",
                "assets verify BAD", "assets add", "travel alice BAD", "travel a@b@c p", "travel Alice p",
                "demo --break all", "doctor BAD", "doctor beta --self",
            ])
        func misuse(line: String) async throws {
            try await Scratch.use { scratch in
                let end = try await scratch.aether(line.split(separator: " ").map(String.init))
                #expect(end.code == 64, "\(end.out) \(end.err)")
                #expect(end.out.isEmpty && !end.err.isEmpty)
                #expect(!FileManager.default.fileExists(atPath: scratch.path + "/.aether"))
            }
        }

        @Test(
            "Where there is no server every command says so in one line, and ends with 1",
            arguments: [
                "status", "peers list", "peers remove b", "peers scopes b", "peers heard", "policy", "policy deny a*",
                "registry list", "registry show b", "routes list",
                "routes on p",
                "worlds list", "worlds events w", "players", "players show alice",
                "players reclaim alice --reason lost --yes",
                "assets list", "assets verify w", "travel alice p", "keys show", "serve",
                "serve --check",
                "worlds add w World", "routes add p b w --spawn -1,2,-3",
            ])
        func noServer(line: String) async throws {
            try await Scratch.use { scratch in
                _ = try scratch.write("x", to: "World/file")
                let line = line.replacingOccurrences(of: "World", with: scratch.path + "/World")
                let arguments = line.split(separator: " ").map(String.init)
                let missing = try await scratch.aether(arguments)
                #expect(missing.code == 1 && isOneLine(missing), "\(missing.err)")
                #expect(
                    missing.err.contains("holds no server") && missing.err.contains("aether init"), "\(missing.err)")
                guard arguments[0] != "serve", arguments[0] != "keys" else { return }
                // Made, but not running.
                let port = try Loopback.freePort()
                let made = try await scratch.aether("init", "--id", "a", "--host", "127.0.0.1", "--port", "\(port)")
                #expect(made.code == 0, "\(made.err)")
                let stopped = try await scratch.aether(arguments)
                #expect(stopped.code == 1 && isOneLine(stopped), "\(stopped.err)")
                #expect(
                    stopped.err.contains("no server runs in \(scratch.path)/.aether — start it with: aether serve"),
                    "\(stopped.err)")
            }
        }

        @Test("init makes private files, once")
        func initialises() async throws {
            try await Scratch.use { scratch in
                let home = scratch.path + "/deep/home"
                let first = try await scratch.aether("init", "--id", "a", "--name", "Å", "--data", home, "--json")
                #expect(first.code == 0 && JSON(first.out)["id"].string == "a", "\(first.err)")
                #expect(mode(home) == 0o700)
                let files = [
                    "admin.key", "admin.sha256", "aether.json", "identity.key", "next.key", "recovery.sha256",
                ]
                #expect(try FileManager.default.contentsOfDirectory(atPath: home).sorted() == files)
                let before = files.map { FileManager.default.contents(atPath: home + "/" + $0) }
                for file in files { #expect(mode(home + "/" + file) == 0o600) }
                let again = try await scratch.aether("init", "--id", "b", "--data", home)
                #expect(again.code == 1 && isOneLine(again) && again.err.contains("[data.exists]"), "\(again.err)")
                #expect(files.map { FileManager.default.contents(atPath: home + "/" + $0) } == before)
                // An empty directory is closed to others; one with other things in it is left alone.
                for (name, code) in [("empty", Int32(0)), ("full", 1)] {
                    let path = scratch.path + "/" + name
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                    chmod(path, 0o755)
                    if name == "full" { _ = try scratch.write("x", to: "full/x") }
                    let end = try await scratch.aether("init", "--id", "a", "--data", path)
                    #expect(end.code == code, "\(end.err)")
                    #expect(mode(path) == (code == 0 ? 0o700 : 0o755))
                }
                let keys = try await scratch.aether("keys", "show", "--data", home, "--json")
                #expect(JSON(keys.out)["fingerprint"].string == JSON(first.out)["fingerprint"].string)
                #expect(
                    !keys.out.contains(try String(contentsOfFile: home + "/identity.key", encoding: .utf8).prefix(64)))
            }
        }

        private func mode(_ path: String) -> mode_t {
            var status = stat()
            return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
        }

        @Test("Listings fit 80 columns, and are JSON when that is asked for")
        func listings() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                for line in [
                    "status", "peers list", "registry list", "registry list --status online", "registry show beta",
                    "routes list", "routes resolve garden-gate", "worlds list", "assets list", "assets verify garden",
                    "keys show", "peers", "routes off garden-gate", "routes on garden-gate", "registry conflicts",
                ] {
                    let arguments = line.split(separator: " ").map(String.init) + ["--data", pair.alpha.home]
                    let text = try await scratch.aether(arguments)
                    #expect(text.code == 0 && text.err.isEmpty && !text.out.isEmpty, "\(line): \(text.err)")
                    // A public key is one word, and longer with its name.
                    if line != "keys show", line != "registry show beta" {
                        #expect(text.out.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(line): \(text.out)")
                    }
                    let json = try await scratch.aether(arguments + ["--json"])
                    #expect(json.code == 0 && JSON(json.out).isValid, "\(line): \(json.out) \(json.err)")
                }
                for line in [
                    "peers suspend nobody", "routes resolve nowhere", "registry show nobody", "travel bob garden-gate",
                ] {
                    let arguments = line.split(separator: " ").map(String.init) + ["--data", pair.alpha.home]
                    let end = try await scratch.aether(arguments)
                    #expect(end.code == 1 && isOneLine(end), "\(line): \(end.err)")
                }
                let travelled = try await scratch.aether("travel", "alice", "garden-gate", "--data", pair.alpha.home)
                #expect(travelled.code == 0, "\(travelled.err)")
                #expect(travelled.out.contains("alice@alpha is in harbour on beta."), "\(travelled.out)")
                let twice = try await scratch.aether("travel", "alice", "garden-gate", "--data", pair.alpha.home)
                #expect(twice.code == 1 && isOneLine(twice), "\(twice.err)")
                let removed = try await scratch.aether("routes", "remove", "garden-gate", "--data", pair.alpha.home)
                #expect(removed.code == 0)
                let empty = try await scratch.aether("routes", "list", "--data", pair.alpha.home)
                #expect(empty.out.hasPrefix("No routes yet."))
            }
        }

        @Test("Who has contradicted themselves is listed, with both cards in the JSON")
        func conflicts() async throws {
            try await Scratch.use { scratch in
                let body =
                    #"{"equivocations":[{"first":"a.b.c","id":"beta","second":"a.d.e","#
                    + #""seenAt":"2026-01-02T03:04:05.678Z"}]}"#
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)"
                let port = try Loopback.freePort()
                let server = try Impostor(at: port, answering: head + "\r\nConnection: close\r\n\r\n" + body)
                defer { server.end() }
                func conflicts(_ flags: String...) async throws -> Child.End {
                    try await scratch.aether(
                        ["registry", "conflicts", "--server", "http://127.0.0.1:\(port)"] + flags,
                        environment: ["AETHER_ADMIN_KEY": "key"])
                }
                let text = try await conflicts()
                #expect(text.code == 0 && text.out.contains("beta") && text.out.contains("--json"), "\(text)")
                let found = JSON(try await conflicts("--json").out)["equivocations"].list
                #expect(found.count == 1 && found.first?["first"].string == "a.b.c")
                #expect(found.first?["second"].string == "a.d.e")
            }
        }

        @Test("The list of peers says at a glance how each stands, and the page of one what its last error was")
        func glance() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                func shown(_ arguments: String...) async throws -> String {
                    let end = try await scratch.aether(["peers"] + arguments + ["--data", pair.alpha.home])
                    #expect(end.code == 0, "\(end.err)")
                    return end.out
                }
                let well = try await shown("list")
                for part in [
                    "beta", "connected ", "completed", "healthy", " ms", "pinned, may all; key ", " old; heard ",
                    "ago;", " queued",
                ] {
                    #expect(well.contains(part), "\(part): \(well)")
                }
                try await pair.beta.kill()
                try await eventually("the next retry and the last error are shown") {
                    let page = try await shown("show", "beta")
                    return ["waiting ", "[unreachable]", "! not heard for"].allSatisfy { page.contains($0) }
                }
                let suspended = try await scratch.aether(
                    "peers", "suspend", "beta", "--reason", "a quarrel", "--data", pair.alpha.home)
                #expect(suspended.code == 0, "\(suspended.err)")
                let page = try await shown("show", "beta")
                #expect(page.contains("suspended for  a quarrel"), "\(page)")
            }
        }

        @Test("The admin key is needed, from its own file or from the environment")
        func adminKey() async throws {
            try await Scratch.use { scratch in
                let node = try await Node("alpha", in: scratch)
                try await node.start()
                let missing = try await scratch.aether("status", "--server", node.address)
                #expect(
                    missing.code == 1 && isOneLine(missing) && missing.err.contains("[admin.keyMissing]"),
                    "\(missing.err)")
                let wrong = try await scratch.aether(
                    "status", "--server", node.address, environment: ["AETHER_ADMIN_KEY": "guess"])
                #expect(wrong.code == 1 && isOneLine(wrong) && wrong.err.contains("[admin.keyWrong]"), "\(wrong.err)")
                let right = try await scratch.aether(
                    "status", "--server", node.address + "/", environment: ["AETHER_ADMIN_KEY": node.key])
                #expect(right.code == 0 && right.out.hasPrefix("alpha"), "\(right.err)")
                func status(_ key: String) async throws -> Child.End {
                    try await scratch.aether(
                        "status", "--server", node.address, environment: ["AETHER_ADMIN_KEY": key])
                }
                for end in ["\n", "\r\n", " \n\n"] {
                    let trimmed = try await status(node.key + end)
                    #expect(trimmed.code == 0, "\(trimmed.err)")
                }
                let half = String(node.key.prefix(32))
                for key in [half + "\n" + half, half + "\r" + half, half + " " + half, half + "\u{7F}", half + "é"] {
                    let malformed = try await status(key)
                    #expect(malformed.code == 1 && isOneLine(malformed), "\(malformed.err)")
                    #expect(
                        malformed.err.contains("AETHER_ADMIN_KEY") && malformed.err.contains("[admin.keyMalformed]")
                            && !malformed.err.contains(half), "\(malformed.err)")
                }
                let file = URL(fileURLWithPath: node.home + "/admin.key")
                try Data((half + "\n" + half).utf8).write(to: file)
                let damaged = try await scratch.aether("status", "--data", node.home)
                #expect(damaged.code == 1 && isOneLine(damaged), "\(damaged.err)")
                #expect(
                    damaged.err.contains("[admin.keyMalformed]") && !damaged.err.contains(half), "\(damaged.err)")
                chmod(node.home + "/admin.key", 0o644)
                let open = try await scratch.aether("status", "--data", node.home)
                #expect(open.code == 1 && isOneLine(open) && open.err.contains("can be read by others"), "\(open.err)")
            }
        }

        @Test("A peer is added only by the fingerprint that its operator told")
        func addsPeers() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                try await alpha.start()
                try await beta.start()
                let shown = try #require(try await beta.get("/v1/status")["fingerprint"].string)
                var add = ["peers", "add", beta.address, "--data", alpha.home]
                let inside = try await scratch.aether(add)
                #expect(inside.code == 1 && isOneLine(inside), "\(inside.err)")
                #expect(inside.err.contains("loopback") && inside.err.contains("[address.refused]"), "\(inside.err)")
                add.append("--allow-private-addresses")
                let silent = try await scratch.aether(add)
                #expect(
                    silent.code == 1 && isOneLine(silent) && silent.out.contains(shown)
                        && silent.err.contains("nobody has compared"), "\(silent.err)"
                )
                let wrong = try await scratch.aether(add + ["--fingerprint", String(shown.reversed())])
                #expect(wrong.code == 1 && isOneLine(wrong) && wrong.err.contains("do not trust it"), "\(wrong.err)")
                #expect(try await alpha.get("/v1/peers")["peers"].list.isEmpty)
                let spoken = shown.uppercased().replacingOccurrences(of: "-", with: " ")
                let right = try await scratch.aether(add + ["--fingerprint", spoken])
                #expect(right.code == 0 && right.out.contains(shown), "\(right.err)")
                let back = try await scratch.aether(
                    "peers", "add", "aether://127.0.0.1:\(alpha.port)", "--yes", "--data", beta.home,
                    "--allow-private-addresses")
                #expect(back.code == 0, "\(back.err)")
                try await alpha.awaitHealthy(beta)
                let own = try await scratch.aether(
                    "peers", "add", alpha.address, "--yes", "--data", alpha.home, "--allow-private-addresses")
                #expect(own.code == 1 && isOneLine(own), "\(own.err)")
                let nobody = try await scratch.aether(
                    "peers", "add", "ws://127.0.0.1:\(try Loopback.freePort())", "--yes", "--data", alpha.home,
                    "--allow-private-addresses")
                #expect(
                    nobody.code == 1 && nobody.err.contains("Connection refused — check the address"), "\(nobody.err)")
            }
        }

        @Test("A folder with links or without files is no world; a damaged asset is found, and replaced as is advised")
        func worlds() async throws {
            try await Scratch.use { scratch in
                let node = try await Node("alpha", in: scratch)
                try await node.start()
                func add(_ folder: String) async throws -> Child.End {
                    try await scratch.aether("worlds", "add", "w", scratch.path + "/" + folder, "--data", node.home)
                }
                let target = try scratch.write("text", to: "linked/file")
                for (name, to) in [("toFile", target), ("dangling", "/nowhere"), ("toFolder", scratch.path)] {
                    _ = try scratch.write("x", to: "\(name)/sub/x")
                    try FileManager.default.createSymbolicLink(
                        atPath: scratch.path + "/\(name)/sub/link", withDestinationPath: to)
                    let end = try await add(name)
                    #expect(end.code == 1 && isOneLine(end) && end.err.contains("[world.link]"), "\(name): \(end.err)")
                }
                try FileManager.default.createDirectory(
                    atPath: scratch.path + "/empty/sub", withIntermediateDirectories: true)
                for (name, code) in [
                    ("empty", "world.empty"), ("none", "world.noFolder"), ("linked/file", "world.noFolder"),
                ] {
                    let end = try await add(name)
                    #expect(end.code == 1 && isOneLine(end) && end.err.contains("[\(code)]"), "\(name): \(end.err)")
                }
                for index in 0..<3 { _ = try scratch.write("text \(index)", to: "good/\(index)") }
                let added = try await add("good")
                #expect(added.code == 0 && added.out.contains("3 files"), "\(added.err)")
                let verified = try await scratch.aether("assets", "verify", "w", "--data", node.home)
                #expect(verified.code == 0 && verified.out == "3 of 3 assets are valid.\n", "\(verified.err)")
                let hashes = try await node.get("/v1/worlds/w/manifest")["files"].list.map { $0["sha256"].string ?? "" }
                func damage(_ hash: String, to text: String?) throws {
                    let file = "\(node.home)/assets/\(hash.prefix(2))/\(hash.dropFirst(2))"
                    try FileManager.default.removeItem(atPath: file)
                    if let text { try Data(text.utf8).write(to: URL(fileURLWithPath: file)) }
                }
                for (hash, text) in zip(hashes, ["text x", nil, "longer than before"]) { try damage(hash, to: text) }
                let damaged = try await scratch.aether("assets", "verify", "w", "--data", node.home)
                #expect(damaged.code == 1 && isOneLine(damaged), "\(damaged.err)")
                #expect(
                    damaged.out.contains("0: hash mismatch") && damaged.out.contains("1: missing"), "\(damaged.out)")
                #expect(
                    damaged.out.contains("2: ") && damaged.out.contains("0 of 3 assets are valid"), "\(damaged.out)")
                #expect(damaged.err.contains("publish the world again: aether worlds add"), "\(damaged.err)")
                let again = try await add("good")
                #expect(again.code == 0 && again.out.contains("(18 B uploaded)"), "\(again.out) \(again.err)")
                let mended = try await scratch.aether("assets", "verify", "w", "--data", node.home)
                #expect(mended.code == 0 && mended.out == "3 of 3 assets are valid.\n", "\(mended.out)")
                #expect(try await add("good").out.contains("(0 B uploaded)"))
                // One file by itself, which the advice is for then.
                try damage(hashes[0], to: "text y")
                let alone = try await scratch.aether("assets", "verify", hashes[0], "--data", node.home)
                #expect(alone.code == 1, "\(alone.out)")
                #expect(alone.err.contains("upload the file again: aether assets add"), "\(alone.err)")
                _ = try await scratch.aether("assets", "add", scratch.path + "/good/0", "--data", node.home)
                let whole = try await scratch.aether("assets", "verify", hashes[0], "--data", node.home)
                #expect(whole.code == 0, "\(whole.out)")
            }
        }

        @Test("A card that names an address where somebody else answers is refused, and nothing is stored")
        func elsewhere() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                let silent = try Loopback.freePort()
                try await alpha.start()
                try await beta.start()
                for (id, port) in [("gamma", beta.port), ("delta", silent)] {
                    let node = try await Node(id, in: scratch, "--endpoint", "ws://127.0.0.1:\(port)")
                    try await node.start()
                    let refused = try await scratch.aether(
                        "peers", "add", node.address, "--yes", "--data", alpha.home, "--allow-private-addresses")
                    #expect(refused.code == 1 && isOneLine(refused), "\(refused.err)")
                    #expect(refused.err.contains("[endpoint.unproven]"), "\(refused.err)")
                }
                #expect(try await alpha.get("/v1/peers")["peers"].list.isEmpty)
                #expect(try await alpha.get("/v1/servers")["servers"].list.isEmpty)
            }
        }

        @Test("The policy and what peers may do are set by commands, hold at once, and are shown as they are")
        func policy() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                func aether(_ line: String, on node: Node) async throws -> Child.End {
                    try await scratch.aether(line.split(separator: " ").map(String.init) + ["--data", node.home])
                }
                // The lines of README.md.
                for (line, says) in [
                    ("policy", "Only peers that were added by hand are trusted."),
                    ("peers scopes beta heartbeat route assets", "beta may: heartbeat, route, assets"),
                    ("policy deny *.bad-guild address:203.0.113.0/24", "deny             address:203.0.113.0/24"),
                    ("policy trust registry-listed on", "registry-listed  on: heartbeat,route,assets,handoff"),
                    ("policy trust introduced 2", "introduced       by 2 or more: heartbeat,route,assets,handoff"),
                    ("policy allow *.good-guild", "allow            id:*.good-guild"),
                    ("peers heard", "Nobody has told of anybody."),
                    ("policy remove id:*.bad-guild", "deny             address:203.0.113.0/24"),
                    ("policy introduce off", "introduce        off"),
                    ("peers scopes beta", "beta may: heartbeat, route"),
                ] {
                    let text = try await aether(line, on: pair.alpha)
                    #expect(
                        text.code == 0 && text.err.isEmpty && text.out.contains(says),
                        "\(line): \(text.out) \(text.err)")
                    #expect(text.out.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(line): \(text.out)")
                    if line.contains("remove") { continue }
                    let json = try await aether(line + " --json", on: pair.alpha)
                    #expect(json.code == 0 && JSON(json.out).isValid, "\(line): \(json.out) \(json.err)")
                }
                #expect(try await aether("travel alice garden-gate", on: pair.alpha).code == 0)
                let kept = try await aether("travel alice@alpha harbour-steps", on: pair.beta)
                #expect(kept.code == 1 && kept.err.contains("[peer.scopeMissing.handoff]"), "\(kept.err)")
                #expect(try await pair.playableAt() == ["beta"])
                #expect(try await aether("peers scopes beta all", on: pair.alpha).code == 0)
                #expect(try await aether("travel alice@alpha harbour-steps", on: pair.beta).code == 0)

                let broken = try scratch.write("{", to: "broken.json")
                let wrong = try scratch.write(#"{"deny":["id:A"]}"#, to: "wrong.json")
                for (line, code) in [
                    ("policy remove host:nobody.example", "policy.noPattern"), ("policy set /nowhere", "policy.noFile"),
                    ("policy set \(broken)", "body.notJSON"), ("policy set \(wrong)", "policy.invalid"),
                    ("peers scopes nobody heartbeat", "peer.unknown"), ("peers scopes nobody", "peer.unknown"),
                ] {
                    let refused = try await aether(line, on: pair.alpha)
                    #expect(refused.code == 1 && isOneLine(refused), "\(line): \(refused.err)")
                    #expect(refused.err.contains("[\(code)]"), "\(line): \(refused.err)")
                }
                // What show prints, set takes.
                let shown = try await aether("policy show --json", on: pair.alpha)
                let file = try scratch.write(shown.out, to: "policy.json")
                #expect(try await aether("policy set \(file) --json", on: pair.beta).out == shown.out)

                // Several operators at the same time: nobody's change is lost.
                let names = (0..<6).map { "guild-\($0)" }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for name in names {
                        group.addTask {
                            let end = try await scratch.aether("policy", "deny", name, "--data", pair.alpha.home)
                            #expect(end.code == 0, "\(end.err)")
                        }
                    }
                    try await group.waitForAll()
                }
                let added = Set(try await pair.alpha.get("/v1/policy")["deny"].list.compactMap(\.string))
                #expect(added.isSuperset(of: names.map { "id:\($0)" }), "\(added)")

                #expect(try await aether("policy deny address:127.0.0.0/8", on: pair.alpha).code == 0)
                let denied = try await pair.alpha.peer(pair.beta)
                #expect(denied["state"].string == "idle" && denied["trusted"].bool == false, "\(denied)")
                #expect(try await aether("policy remove 127.0.0.0/8", on: pair.alpha).code == 0)
                try await pair.alpha.awaitHealthy(pair.beta)
            }
        }

        @Test("Of whom peers tell is shown, and they are trusted for it only when the policy says so")
        func heard() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let gamma = try await Node("gamma", in: scratch)
                try await gamma.start()
                try await gamma.trust(pair.beta)
                try await pair.beta.trust(gamma)
                try await eventually("alpha has heard of gamma") {
                    try await pair.alpha.get("/v1/introductions")["servers"].list.map { $0["id"].string } == ["gamma"]
                }
                let text = try await scratch.aether("peers", "heard", "--data", pair.alpha.home)
                let fingerprint = try #require(try await gamma.get("/v1/keys")["fingerprint"].string)
                #expect(text.code == 0 && text.out.contains("gamma  none   beta"), "\(text.out) \(text.err)")
                #expect(text.out.contains("    \(fingerprint)  ws://127.0.0.1:\(gamma.port)"), "\(text.out)")
                #expect(text.out.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(text.out)")
                let json = try await scratch.aether("peers", "heard", "--json", "--data", pair.alpha.home)
                #expect(
                    JSON(json.out)["servers"].list.first?["introductions"].list.first?["introducer"].string == "beta")
                #expect(try await pair.alpha.get("/v1/peers")["peers"].list.map { $0["id"].string } == ["beta"])
            }
        }
    }
}
