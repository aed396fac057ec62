import Foundation
import Testing

extension Programs {
    @Suite("What commands print")
    struct Output {
        /// Runs a command with standard output on a disk that is full.
        private func full(_ arguments: [String], in scratch: Scratch) async throws -> Child.End {
            try await shell(#""$@" >/dev/full"#, arguments, in: scratch)
        }

        /// Runs a command whose standard output nobody reads any more; its exit code is the last line on standard error.
        ///
        /// - Parameter reader: the shell's commands that read first; nil for one that has gone before anything is written.
        private func unread(
            _ arguments: [String], after reader: String? = nil, in scratch: Scratch
        ) async throws -> Child.End {
            let run = #""$@"; echo "code $?" >&2"#
            guard let reader else {
                // The command begins when the only reader has closed its end.
                let script = #"mkfifo "$GONE" && { read -r line <"$GONE"; \#(run); } | { exec <&-; echo >"$GONE"; }"#
                return try await shell(script, arguments, in: scratch)
            }
            return try await shell("{ \(run); } | { \(reader); }", arguments, in: scratch)
        }

        private func shell(_ script: String, _ arguments: [String], in scratch: Scratch) async throws -> Child.End {
            let gone = scratch.path + "/" + UUID().uuidString
            return try await scratch.run(
                "/bin/sh", ["-c", script, "sh", Program.aether] + arguments, environment: ["GONE": gone], within: 60)
        }

        @Test("A command that cannot print says so in one line; one whose reader has gone is quiet")
        func failingOutput() async throws {
            try await Scratch.use { scratch in
                let node = try await Node("alpha", in: scratch)
                try await node.start()
                for line in [
                    "status", "status --json", "peers list", "peers list --json", "keys show", "policy", "doctor",
                    "serve --check",
                ] {
                    let arguments = line.split(separator: " ").map(String.init) + ["--data", node.home]
                    let full = try await full(arguments, in: scratch)
                    #expect(full.code == 1 && full.complaints.count == 1, "\(line): \(full.code) \(full.err)")
                    #expect(
                        full.err.hasPrefix("aether: standard output could not be written: No space left on device — ")
                            && full.err.contains("[output.failed]"), "\(line): \(full.err)")
                    let unread = try await unread(arguments, in: scratch)
                    #expect(unread.err == "code 141\n", "\(line): \(unread.err)")
                }
            }
        }

        @Test(
            "No server is made whose recovery key nobody could read, and it can be tried again",
            arguments: [[], ["--json"]])
        func unseenRecoveryKey(options: [String]) async throws {
            try await Scratch.use { scratch in
                let home = scratch.path + "/home"
                let arguments = ["init", "--id", "alpha", "--data", home] + options
                let full = try await full(arguments, in: scratch)
                #expect(full.code == 1 && full.complaints.count == 1, "\(full.code) \(full.err)")
                #expect(full.err.contains("[output.failed]"), "\(full.err)")
                let unread = try await unread(arguments, in: scratch)
                #expect(unread.err == "code 141\n", "\(unread.err)")
                for file in ["identity.key", "admin.key", "admin.sha256", "aether.json"] {
                    #expect(!FileManager.default.fileExists(atPath: home + "/" + file), "\(file)")
                }
                let made = try await scratch.aether(arguments)
                #expect(made.code == 0 && made.err.isEmpty, "\(made.err)")
                let server = try await scratch.aether("serve", "--check", "--data", home)
                #expect(server.code == 0, "\(server.err)")
            }
        }

        @Test(
            "A demo whose output fails ends its servers and removes their keys first",
            arguments: ["full", "gone at once", "gone in the middle"])
        func failingDemo(how: String) async throws {
            try await Scratch.use { scratch in
                switch how {
                case "full":
                    let end = try await full(["demo", "--once"], in: scratch)
                    #expect(end.code == 1 && end.complaints.count == 1, "\(end.code) \(end.err)")
                    #expect(end.err.contains("[output.failed]"), "\(end.err)")
                case "gone at once":
                    // It would stay up for ever.
                    let end = try await unread(["demo"], in: scratch)
                    #expect(end.err == "code 141\n", "\(end.err)")
                default:
                    // Beta is killed; it takes seconds until alpha finds that out, and the next line is printed.
                    let reader = #"while read -r line; do case "$line" in *handshake*) break;; esac; done"#
                    let end = try await unread(["demo", "--once", "--break", "health"], after: reader, in: scratch)
                    #expect(end.err == "code 141\n", "\(end.err)")
                }
                #expect(scratch.leftovers.isEmpty, "\(scratch.leftovers)")
                #expect(scratch.processes.isEmpty)
            }
        }

        /// Gives its child a terminal.
        private static let script = "/usr/bin/script"

        @Test(
            "Whoever is asked to compare a fingerprint is shown it, also where standard output is for a program",
            .enabled(if: FileManager.default.isExecutableFile(atPath: script), "there is no script(1) here"))
        func fingerprintToCompare() async throws {
            let script = Self.script
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                try await alpha.start()
                try await beta.start()
                let shown = try #require(try await beta.get("/v1/status")["fingerprint"].string)
                let (out, err) = (scratch.path + "/out", scratch.path + "/err")
                let line =
                    "'\(Program.aether)' peers add \(beta.address) --allow-private-addresses --json --data '\(alpha.home)'"
                let child = try scratch.start(script, ["-qefc", "\(line) >'\(out)' 2>'\(err)'", "/dev/null"])
                try child.write("n\n")
                let end = try await child.end()
                let told = try String(contentsOfFile: err, encoding: .utf8)
                #expect(end.code == 1, "\(end.out) \(told)")
                let asked = try #require(told.range(of: "Is it the same?"), "\(told)")
                #expect(told[..<asked.lowerBound].contains(shown), "\(told)")
                #expect(told.contains("[peer.declined]"), "\(told)")
                #expect(try String(contentsOfFile: out, encoding: .utf8).isEmpty)
                #expect(try await alpha.get("/v1/peers")["peers"].list.isEmpty)
            }
        }

        @Test("The revocation that ends an id for good is in the JSON: it has to be handed on")
        func revocationForGood() async throws {
            try await Scratch.use { scratch in
                let node = try await Node("alpha", in: scratch)
                try await node.start()
                let end = try await scratch.aether(
                    ["keys", "revoke", "--for-good", "--json", "--data", node.home], input: node.recovery + "\n")
                #expect(end.code == 0, "\(end.err)")
                let json = JSON(end.out)
                #expect(json["id"].string == "alpha", "\(end.out)")
                let revocation = try #require(json["revocation"].string, "\(end.out)")
                #expect(revocation.split(separator: ".").count == 3)
            }
        }
    }
}
