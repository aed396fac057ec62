import Foundation
import Testing

extension Programs {
    @Suite("The demo")
    struct Demo {
        private static let steps = ["registry", "handshake", "health", "routing", "verification", "handoff", "return"]

        @Test("It crosses, step by step, and leaves nothing behind")
        func crosses() async throws {
            try await Scratch.use { scratch in
                let end = try await scratch.aether("demo", "--once", "--json", within: 60)
                #expect(end.code == 0, "\(end.err)")
                let lines = end.out.split(separator: "\n").map { JSON(String($0)) }
                #expect(lines.map { $0["step"].string } == Self.steps)
                for line in lines {
                    #expect(line["ok"].bool == true, "\(line)")
                    #expect(line["ms"].int != nil && line["detail"].string?.isEmpty == false, "\(line)")
                }
                #expect(scratch.leftovers.isEmpty)
                #expect(scratch.processes.isEmpty)
            }
        }

        @Test(
            "What is broken is refused at its own step, and the player goes on at home",
            arguments: [
                ("asset", "verification", "asset.mismatch"), ("token", "handoff", "token.expired"),
                ("peer", "handshake", "destination.untrusted"), ("route", "routing", "route.inactive"),
                ("health", "health", "destination.unreachable"),
            ])
        func breaks(what: String, step: String, code: String) async throws {
            try await Scratch.use { scratch in
                let end = try await scratch.aether("demo", "--once", "--json", "--break", what, within: 60)
                #expect(end.code == 1, "\(end.err)")
                let lines = end.out.split(separator: "\n").map { JSON(String($0)) }
                let last = try #require(lines.last)
                #expect(last["step"].string == step, "\(last)")
                #expect(last["ok"].bool == false && last["expected"].bool == true, "\(last)")
                #expect(last["code"].string == code, "\(last)")
                #expect(last["player"].string == "playable", "\(last)")
                // Everything before it held, in the order of a crossing.
                let before = Self.steps.prefix { $0 != step }
                #expect(lines.dropLast().map { $0["step"].string ?? "" } == Array(before))
                #expect(lines.dropLast().allSatisfy { $0["ok"].bool == true })
                #expect(scratch.leftovers.isEmpty && scratch.processes.isEmpty)
            }
        }

        @Test("Ports that are taken are left alone, and that is said", arguments: [false, true])
        func takenPorts(asJSON: Bool) async throws {
            try await Scratch.use { scratch in
                let held = [7_700, 7_701].map { Loopback.listen($0) }
                defer { for descriptor in held.compactMap(\.self) { close(descriptor) } }
                let end = try await scratch.aether(["demo", "--once"] + (asJSON ? ["--json"] : []), within: 60)
                #expect(end.code == 0, "\(end.err)")
                let told = asJSON ? end.err : end.out
                #expect(told.contains("Ports 7700 and 7701 are taken; alpha listens on "), "\(told)")
                #expect(!end.out.contains("127.0.0.1:7700") && !end.out.contains("127.0.0.1:7701"))
            }
        }

        @Test("Any folder can be the destination world")
        func otherWorld() async throws {
            try await Scratch.use { scratch in
                for name in ["a.txt", "sub folder/ünïcode — näme.bin", "sub folder/deep/empty", ".hidden"] {
                    _ = try scratch.write(name.hasSuffix("empty") ? "" : "content of \(name)", to: "My World 2/\(name)")
                }
                let end = try await scratch.aether(
                    "demo", "--once", "--json", "--world", scratch.path + "/My World 2", within: 60)
                #expect(end.code == 0, "\(end.out) \(end.err)")
                #expect(end.out.contains("/myworld2?spawn="))
                // What is hidden stays at home.
                #expect(end.out.contains("3 files, "))
            }
        }

        @Test("A folder that is no world is refused before anything starts", arguments: ["none", "empty", "file"])
        func noWorld(kind: String) async throws {
            try await Scratch.use { scratch in
                let path = scratch.path + "/" + kind
                if kind == "empty" {
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                }
                if kind == "file" { _ = try scratch.write("x", to: kind) }
                let end = try await scratch.aether("demo", "--once", "--world", path)
                #expect(end.code == 1)
                #expect(end.complaints.count == 1 && end.err.contains(path) && end.err.contains(" — "), "\(end.err)")
                #expect(scratch.leftovers.isEmpty)
            }
        }

        @Test("Colours are for terminals only, and never with NO_COLOR")
        func colours() async throws {
            try await Scratch.use { scratch in
                let escape = "\u{1B}["
                let piped = try await scratch.aether("demo", "--once", within: 60)
                #expect(piped.code == 0 && !piped.out.contains(escape) && !piped.err.contains(escape))
                #expect(piped.out.contains("✓ verification"))
                // The program script(1) gives its child a terminal.
                let script = "/usr/bin/script"
                guard FileManager.default.isExecutableFile(atPath: script) else { return }
                let arguments = ["-qefc", "'\(Program.aether)' keys show --data '\(scratch.path)/a'", "/dev/null"]
                #expect(try await scratch.aether("init", "--id", "a", "--data", scratch.path + "/a").code == 0)
                let terminal = try await scratch.run(script, arguments)
                #expect(terminal.out.contains(escape + "1ma"), "\(terminal.out)")
                let plain = try await scratch.run(script, arguments, environment: ["NO_COLOR": "1"])
                #expect(plain.out.contains("fingerprint") && !plain.out.contains(escape))
            }
        }

        @Test("It stays up until a signal comes, then ends both servers", arguments: [SIGINT, SIGTERM])
        func staysUp(number: Int32) async throws {
            try await Scratch.use { scratch in
                let child = try scratch.start(Program.aether, ["demo"])
                try await eventually("the crossing: \(child.out) \(child.err)", within: 30) {
                    child.out.contains("Ctrl-C ends both")
                }
                #expect(scratch.processes.count == 2)
                #expect(child.out.contains("Try, in another terminal"))
                child.signal(number)
                let end = try await child.end()
                #expect(end.code == 0, "\(end.err)")
                #expect(scratch.processes.isEmpty && scratch.leftovers.isEmpty)
            }
        }

        @Test("A signal in the middle of the story ends everything, with exit code 1")
        func interrupted() async throws {
            try await Scratch.use { scratch in
                let child = try scratch.start(Program.aether, ["demo", "--once", "--break", "health"])
                try await eventually("two servers", within: 60) { scratch.processes.count == 2 }
                child.signal(SIGINT)
                #expect(try await child.end().code == 1)
                #expect(scratch.processes.isEmpty && scratch.leftovers.isEmpty)
            }
        }

        @Test("Servers do not outlive a demo that is killed")
        func killed() async throws {
            try await Scratch.use { scratch in
                let child = try scratch.start(Program.aether, ["demo"])
                try await eventually("two servers", within: 60) { scratch.processes.count == 2 }
                child.signal(SIGKILL)
                #expect(try await child.end().code == 128 + SIGKILL)
                try await eventually("no server is left") { scratch.processes.isEmpty }
            }
        }
    }
}
