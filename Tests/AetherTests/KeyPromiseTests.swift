import Foundation
import Testing

extension Programs {
    /// What a server has promised of its keys, whatever happens to the files that hold them.
    @Suite("Promised keys")
    struct KeyPromises {
        /// A server whose key files a test moves about.
        private struct Keeper {
            let node: Node
            let scratch: Scratch

            init(_ id: String = "alpha", in scratch: Scratch) async throws {
                try self.init(await Node(id, in: scratch), in: scratch)
            }

            init(_ node: Node, in scratch: Scratch) {
                self.node = node
                self.scratch = scratch
            }

            func aether(_ line: String, input: String? = nil) async throws -> Child.End {
                try await scratch.aether(
                    line.split(separator: " ").map(String.init) + ["--data", node.home], input: input)
            }

            func path(_ file: String) -> String { node.home + "/" + file }
            func has(_ file: String) -> Bool { FileManager.default.fileExists(atPath: path(file)) }
            func read(_ file: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path(file))) }
            func remove(_ file: String) throws { try FileManager.default.removeItem(atPath: path(file)) }

            func write(_ data: Data, to file: String) throws {
                try data.write(to: URL(fileURLWithPath: path(file)))
                chmod(path(file), 0o600)
            }

            /// The key files that are there, with what is in them.
            private func files() throws -> [String: Data] {
                let names = try FileManager.default.contentsOfDirectory(atPath: node.home)
                let keys = names.filter { $0.contains(".key") || $0.hasSuffix(".jws") || $0.hasSuffix(".sha256") }
                return try Dictionary(uniqueKeysWithValues: keys.map { ($0, try read($0)) })
            }

            /// Fingerprint and promises, as the running server tells them.
            func keys() async throws -> String {
                try await node.get("/v1/keys").members("fingerprint", "next", "recovery")
            }

            /// - Parameter fingerprint: what its keys are to become; nil when they are what they were.
            func startAndStop(until fingerprint: String? = nil) async throws -> String {
                try await node.start()
                if let fingerprint {
                    try await eventually("its key is \(fingerprint)") { try await self.keys().contains(fingerprint) }
                }
                let keys = try await self.keys()
                _ = try await node.stop()
                return keys
            }

            /// Whether a start is refused, in one line with these parts, the code first; and whether it is told beforehand, too, while
            /// nothing is changed.
            func expectRefused(_ parts: String..., location: SourceLocation = #_sourceLocation) async throws {
                let before = try files()
                let check = try await aether("serve --check")
                #expect(check.code == 1, "\(check)", sourceLocation: location)
                for part in parts { #expect(check.err.contains(part), "\(check.err)", sourceLocation: location) }
                let doctor = try await aether("doctor --self --json")
                let code = parts[0].trimmingCharacters(in: ["[", "]"])
                #expect(doctor.code == 1, "\(doctor)", sourceLocation: location)
                #expect(Diagnosis(doctor).names("keys \(code) wrong"), "\(doctor.out)", sourceLocation: location)
                #expect(try files() == before, sourceLocation: location)
                let end = try await aether("serve --end-with-input")
                let last = end.complaints.last ?? ""
                #expect(end.code == 1, "\(end.err)", sourceLocation: location)
                for part in parts { #expect(last.contains(part), "\(end.err)", sourceLocation: location) }
            }
        }

        /// A key that nobody has promised.
        private static let other = Data((String(repeating: "5a", count: 32) + "\n").utf8)

        @Test("The next key may be on another machine; it is promised all the same, and put back without a restart")
        func away() async throws {
            try await Scratch.use { scratch in
                let pair = try await Pair(in: scratch)
                let alpha = Keeper(pair.alpha, in: scratch)
                let before = try await alpha.keys()
                _ = try await pair.alpha.stop()
                let next = try alpha.read("next.key")
                try alpha.remove("next.key")
                // Left by a rotation that came to nothing: it was never promised.
                try alpha.write(Self.other, to: "next.key.pending")
                try await pair.alpha.start()
                try await pair.alpha.awaitHealthy(pair.beta)
                #expect(try await alpha.keys() == before)
                #expect(!alpha.has("next.key"))
                let refused = try await alpha.aether("keys rotate")
                #expect(refused.code == 1 && refused.err.contains("[keys.noNext]"), "\(refused.err)")
                #expect(!alpha.has("next.key"))
                try alpha.write(next, to: "next.key")
                let rotated = try await alpha.aether("keys rotate --json")
                #expect(rotated.code == 0, "\(rotated.err)")
                let fingerprint = try #require(JSON(rotated.out)["fingerprint"].string)
                #expect(try alpha.read("identity.key") == next)
                // Beta has kept the promise of before, and believes no other key.
                try await eventually("beta has pinned the new key") {
                    try await pair.beta.peer(pair.alpha)["fingerprint"].string == fingerprint
                }
            }
        }

        @Test(
            "A start with another next key or recovery hash than was promised is refused, and nothing is written over",
            arguments: [
                ("next.key", true, "keys.notPromised"), ("recovery.sha256", true, "recovery.notPromised"),
                ("recovery.sha256", false, "recovery.notPromised"),
            ])
        func unpromised(file: String, isThere: Bool, code: String) async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                let before = try await keeper.startAndStop()
                let promised = try keeper.read(file)
                try keeper.remove(file)
                if isThere { try keeper.write(Self.other, to: file) }
                let hash = file == "recovery.sha256" ? String(decoding: promised.dropLast(), as: UTF8.self) : file
                try await keeper.expectRefused("[\(code)]", keeper.path(file), hash)
                #expect(keeper.has(file) == isThere)
                if isThere { #expect(try keeper.read(file) == Self.other) }
                try keeper.write(promised, to: file)
                #expect(try await keeper.startAndStop() == before)
            }
        }

        @Test("What no database has noted is not promised anew behind the back of a next key that is elsewhere")
        func notNoted() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Keeper(in: scratch)
                let next = try alpha.read("next.key")
                try alpha.remove("next.key")
                try await alpha.expectRefused("[keys.noNext]", "put it back for this start")
                #expect(!alpha.has("next.key"))
                try alpha.write(next, to: "next.key")
                let promised = try await alpha.startAndStop()
                try alpha.remove("next.key")
                #expect(try await alpha.startAndStop() == promised)
                #expect(!alpha.has("next.key"))
            }
        }

        @Test("A backup restored over a fresh directory keeps its promises: it starts with its recovery hash, or not")
        func restoredElsewhere() async throws {
            try await Scratch.use { scratch in
                let old = try await Keeper(in: scratch)
                let before = try await old.startAndStop()
                let fresh = try Keeper(await Node("alpha", in: scratch, under: "fresh"), in: scratch)
                for file in ["identity.key", "next.key", "federation.sqlite3"] {
                    try fresh.write(try old.read(file), to: file)
                }
                try await fresh.expectRefused("[recovery.notPromised]")
                try fresh.write(try old.read("recovery.sha256"), to: "recovery.sha256")
                #expect(try await fresh.startAndStop() == before)
            }
        }

        @Test("A database that is older than a rotation goes on with the newer key files, if all of them are there")
        func olderDatabase() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                let first = try await keeper.startAndStop()
                let older = try keeper.read("federation.sqlite3")
                let formerNext = try keeper.read("next.key")
                try await keeper.node.start()
                #expect(try await keeper.aether("keys rotate").code == 0)
                let rotated = try await keeper.keys()
                #expect(rotated != first)
                _ = try await keeper.node.stop()
                for file in ["federation.sqlite3-wal", "federation.sqlite3-shm"] where keeper.has(file) {
                    try keeper.remove(file)
                }
                try keeper.write(older, to: "federation.sqlite3")
                // Without the next key of these files, or with the one of the older backup, nobody knows the promise.
                let next = try keeper.read("next.key")
                try keeper.remove("next.key")
                try await keeper.expectRefused("[keys.noNext]", keeper.path("next.key"))
                #expect(!keeper.has("next.key"))
                try keeper.write(formerNext, to: "next.key")
                try await keeper.expectRefused("[keys.noNext]", keeper.path("next.key"))
                try keeper.write(next, to: "next.key")
                try await keeper.node.start()
                #expect(try await keeper.keys() == rotated)
                // The key before is known as this server's own.
                #expect(try await keeper.node.get("/v1/keys")["rotations"].int == 1)
                #expect(try await keeper.aether("keys rotate").code == 0)
                let last = try await keeper.keys()
                _ = try await keeper.node.stop()
                #expect(try await keeper.startAndStop() == last)
            }
        }

        @Test("A present and a next key that were swapped are not taken for a rotation")
        func swapped() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                let before = try await keeper.startAndStop()
                let (present, next) = (try keeper.read("identity.key"), try keeper.read("next.key"))
                try keeper.write(next, to: "identity.key")
                try keeper.write(present, to: "next.key")
                try await keeper.expectRefused("[keys.noNext]", "swap them back")
                try keeper.write(present, to: "identity.key")
                try keeper.write(next, to: "next.key")
                #expect(try await keeper.startAndStop() == before)
            }
        }

        @Test("A replacement that waits and is damaged is named beforehand, and by the command that would make another")
        func damagedReplacement() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                _ = try await keeper.startAndStop()
                func revoke() async throws -> Child.End {
                    try await keeper.aether("keys revoke --json", input: keeper.node.recovery + "\n")
                }
                let first = try await revoke()
                // Once more is the same.
                let again = try await revoke()
                #expect(first.code == 0 && again.code == 0 && first.out == again.out, "\(again)")
                let revocation = try keeper.read("replacement.jws")
                try keeper.write(Data("nothing\n".utf8), to: "replacement.jws")
                let refused = try await revoke()
                #expect(refused.code == 1 && refused.err.contains("[keys.replacing]"), "\(refused.err)")
                #expect(refused.err.contains("remove replacement.jws"), "\(refused.err)")
                let check = try await keeper.aether("serve --check")
                #expect(check.code == 1 && check.err.contains("[keys.badRevocation]"), "\(check.err)")
                try keeper.write(revocation, to: "replacement.jws")
                #expect(try await keeper.aether("serve --check").code == 0)
                let fingerprint: String = try #require(JSON(first.out)["fingerprint"].string)
                _ = try await keeper.startAndStop(until: fingerprint)
            }
        }

        @Test("A replacement that the store has taken, and the files have not followed, is taken once more")
        func takenAndNotFollowed() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                _ = try await keeper.startAndStop()
                try keeper.write(Data("nothing\n".utf8), to: "identity.key")
                func revoke() async throws -> Child.End {
                    try await keeper.aether("keys revoke --json", input: keeper.node.recovery + "\n")
                }
                let first = try await revoke()
                #expect(first.code == 0, "\(first.err)")
                let names = ["identity.key", "next.key", "replacement.key", "replacement-next.key", "replacement.jws"]
                let files = try names.map { ($0, try keeper.read($0)) }
                let fingerprint: String = try #require(JSON(first.out)["fingerprint"].string)
                try await keeper.node.start()
                try await eventually("its key is replaced") { try await keeper.keys().contains(fingerprint) }
                let replaced = try await keeper.keys()
                try await keeper.node.kill()
                // As after a crash between the store and the files.
                for (file, bytes) in files { try keeper.write(bytes, to: file) }
                #expect(try await keeper.aether("serve --check").code == 0)
                let again = try await revoke()
                #expect(again.code == 0 && JSON(again.out)["takenBefore"].string == "true", "\(again)")
                #expect(try await keeper.startAndStop() == replaced)
                #expect(!keeper.has("replacement.jws") && !keeper.has("replacement.key"))
                // A damaged key among the replacement's is named as that.
                #expect(try await revoke().code == 0)
                try keeper.write(Data("nothing\n".utf8), to: "replacement.key")
                let refused = try await revoke()
                #expect(refused.code == 1 && refused.err.contains("[keys.replacing]"), "\(refused.err)")
            }
        }

        @Test("A replacement that was rotated away from is not taken again when a backup brings its files back")
        func rotatedAway() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                _ = try await keeper.startAndStop()
                let input = keeper.node.recovery + "\n"
                #expect(try await keeper.aether("keys revoke", input: input).code == 0)
                let files = try ["replacement.key", "replacement.jws"].map { ($0, try keeper.read($0)) }
                try await keeper.node.start()
                try await eventually("the replacement is taken") { !keeper.has("replacement.jws") }
                #expect(try await keeper.aether("keys rotate").code == 0)
                let rotated = try await keeper.keys()
                _ = try await keeper.node.stop()
                let identity = try keeper.read("identity.key")
                for (file, bytes) in files { try keeper.write(bytes, to: file) }
                try await keeper.expectRefused("[keys.badRevocation]", "aether keys revoke")
                let revoked = try await keeper.aether("keys revoke", input: input)
                #expect(revoked.code == 1 && revoked.err.contains("[keys.replacing]"), "\(revoked.err)")
                #expect(try keeper.read("identity.key") == identity)
                for (file, _) in files { try keeper.remove(file) }
                #expect(try await keeper.startAndStop() == rotated)
            }
        }

        @Test(
            "A server that its owner has revoked for good is told so before a start as well, and is given no new keys")
        func dead() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                try await keeper.node.start()
                let ended = try await keeper.aether("keys revoke --for-good", input: keeper.node.recovery + "\n")
                #expect(ended.code == 0, "\(ended.err)")
                _ = try await keeper.node.stop()
                try await keeper.expectRefused("[keys.revoked]")
                let again = try await keeper.aether("keys revoke", input: keeper.node.recovery + "\n")
                #expect(again.code == 1 && again.err.contains("[keys.revoked]"), "\(again.err)")
                #expect(!keeper.has("replacement.key"))
            }
        }

        @Test(
            "A store that is empty although a server has run is told, and not before one has", arguments: [true, false])
        func emptyStore(isThere: Bool) async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                // A first start that came to nothing has no store to lose.
                let next = try keeper.read("next.key")
                try keeper.remove("next.key")
                try await keeper.expectRefused("[keys.noNext]")
                try keeper.write(next, to: "next.key")
                let before = try await keeper.aether("doctor --self --json")
                #expect(!Diagnosis(before).names("store store.empty warning"), "\(before.out)")
                try await keeper.node.start()
                #expect(!keeper.node.log.contains("store.empty"), "\(keeper.node.log)")
                try await keeper.node.kill()
                // A copy without the log: SQLite makes the file before anything is in it.
                for file in ["federation.sqlite3", "federation.sqlite3-wal", "federation.sqlite3-shm"]
                where keeper.has(file) {
                    try keeper.remove(file)
                }
                if isThere { try keeper.write(Data(), to: "federation.sqlite3") }
                let told = try await keeper.aether("doctor --self --json")
                #expect(Diagnosis(told).names("store store.empty warning"), "\(told.out)")
                try await keeper.node.start()
                #expect(keeper.node.log.contains("store.empty"), "\(keeper.node.log)")
            }
        }

        @Test("What a replacement leaves behind after a crash or a power cut keeps no start back")
        func replacementLeftovers() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                _ = try await keeper.startAndStop()
                let revoked = try await keeper.aether("keys revoke --json", input: keeper.node.recovery + "\n")
                #expect(revoked.code == 0, "\(revoked.err)")
                let revocation = try keeper.read("replacement.jws")
                let fingerprint: String = try #require(JSON(revoked.out)["fingerprint"].string)
                let replaced = try await keeper.startAndStop(until: fingerprint)
                #expect(!keeper.has("replacement.jws") && !keeper.has("replacement.key"))
                try keeper.write(revocation, to: "replacement.jws")
                #expect(try await keeper.startAndStop() == replaced)
                #expect(!keeper.has("replacement.jws"))
                // Half of another replacement, without the revocation that comes last.
                try keeper.write(Self.other, to: "replacement-next.key")
                #expect(try await keeper.startAndStop() == replaced)
            }
        }

        @Test("Keys that do not fit the database any more are replaced with the recovery key")
        func takenOver() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                _ = try await keeper.startAndStop()
                try keeper.write(Self.other, to: "identity.key")
                try keeper.write(Self.other, to: "next.key")
                try await keeper.expectRefused("[identity.outdated]", "aether keys revoke")
                // Left by an earlier version that was cut short.
                try keeper.write(Data(), to: "replacement.key")
                let revoked = try await keeper.aether("keys revoke --json", input: keeper.node.recovery + "\n")
                #expect(revoked.code == 0, "\(revoked.err)")
                let fingerprint: String = try #require(JSON(revoked.out)["fingerprint"].string)
                let replaced = try await keeper.startAndStop(until: fingerprint)
                for file in ["identity.key", "next.key"] { #expect(try keeper.read(file) != Self.other) }
                #expect(!keeper.has("replacement.jws") && !keeper.has("replacement.key"))
                #expect(try await keeper.startAndStop() == replaced)
            }
        }

        @Test("A key file is there whole or not at all: neither a full disk nor a killed process leaves half of one")
        func torn() async throws {
            try await Scratch.use { scratch in
                let home = scratch.path + "/torn"
                let arguments = ["init", "--id", "alpha", "--data", home, "--json"]
                // A bound on the size of files stands in for a full disk. The pipe keeps it from what is printed.
                let script = "trap '' XFSZ; prlimit --fsize=40 -- \"$@\" 2>&1 | cat; exit ${PIPESTATUS[0]}"
                let full = try await scratch.run(
                    "/usr/bin/env", ["bash", "-c", script, "-", Program.aether] + arguments)
                #expect(full.code == 1 && full.out.contains("[data.failed]"), "\(full.out) \(full.err)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: home).isEmpty)
                #expect(try await scratch.aether(arguments).code == 0)

                // What a process that is killed while it writes leaves behind, and an empty file of an earlier version.
                let keeper = try await Keeper(in: scratch)
                try keeper.write(Data("5a".utf8), to: "next.key.pending.0123456789abcdef.unfinished")
                try keeper.write(Data(), to: "next.key.pending")
                try await keeper.node.start()
                #expect(!keeper.has("next.key.pending.0123456789abcdef.unfinished"))
                let rotated = try await keeper.aether("keys rotate")
                #expect(rotated.code == 0, "\(rotated.err)")
                #expect(keeper.has("next.key") && !keeper.has("next.key.pending"))
            }
        }

        @Test("An init that was cut short before anybody was shown its recovery key makes another one and shows it")
        func initCutShort() async throws {
            try await Scratch.use { scratch in
                let keeper = try await Keeper(in: scratch)
                let unseen = try keeper.read("recovery.sha256")
                for file in ["identity.key", "admin.key", "admin.sha256", "aether.json"] { try keeper.remove(file) }
                let port = keeper.node.port
                let made = try await keeper.aether(
                    "init --id alpha --host 127.0.0.1 --port \(port) --endpoint ws://127.0.0.1:\(port) --json")
                #expect(made.code == 0, "\(made.err)")
                let shown = try #require(JSON(made.out)["recoveryKey"].string)
                #expect(!shown.isEmpty && shown != keeper.node.recovery)
                #expect(try keeper.read("recovery.sha256") != unseen)
                let revoked = try await keeper.aether("keys revoke", input: shown + "\n")
                #expect(revoked.code == 0, "\(revoked.err)")
            }
        }
    }
}
