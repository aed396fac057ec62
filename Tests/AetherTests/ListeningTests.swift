import Foundation
import Testing

extension Programs {
    /// Where an operator's command looks for the server of its data directory, and what it shows to whom.
    @Suite("The operator's way to a server")
    struct Listening {
        @Test("leads to where it listens, whatever flags it was given, with its admin key", arguments: [false, true])
        func flags(isEncrypted: Bool) async throws {
            try await Scratch.use { scratch in
                let port = try Loopback.freePort()
                var flags = ["--port", "\(port)"]
                if isEncrypted {
                    let file = try await scratch.certificate(for: "DNS:alpha.example", "alpha")
                    flags += [
                        "--endpoint", "wss://alpha.example:\(port)", "--tls-certificate", file + ".pem", "--tls-key",
                        file + ".key",
                    ]
                }
                let alpha = try await Node("alpha", in: scratch, with: flags)
                // Whoever has the port of the configuration is somebody else.
                let other = try Impostor(at: alpha.port, answering: Impostor.empty)
                defer { other.end() }
                try await alpha.start(at: nil)
                for line in ["peers list", "worlds list", "status"] {
                    let end = try await scratch.aether(
                        line.split(separator: " ").map(String.init) + ["--data", alpha.home, "--json"])
                    #expect(end.code == 0 && end.err.isEmpty, "\(line): \(end.err)")
                }
                let found = try await Diagnosis(of: alpha, "doctor", "--self", in: scratch)
                #expect(found.names("server ok ok"), "\(found)")
                // The doctor goes where its card says that others come, as anybody may.
                #expect(!other.heard.contains { $0.lowercased().contains("authorization") }, "\(other.heard)")
                _ = try await alpha.stop()
            }
        }

        /// Would fail if what a killed server has left behind counted, or its configuration.
        @Test("is nowhere while the server does not run: whoever has its port then is told nothing")
        func notRunning() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                for isKilled in [true, false] {
                    try await alpha.start()
                    if isKilled { try await alpha.kill() } else { _ = try await alpha.stop() }
                    let left = FileManager.default.fileExists(atPath: alpha.home + "/listening.json")
                    #expect(left == isKilled)
                    let other = try Impostor(at: alpha.port, answering: Impostor.empty)
                    defer { other.end() }
                    let end = try await scratch.aether("peers", "list", "--data", alpha.home)
                    #expect(end.code == 1 && end.complaints.count == 1, "\(end.err)")
                    #expect(
                        end.err.contains("no server runs in \(alpha.home) — start it with: aether serve"), "\(end.err)")
                    let found = try await Diagnosis(of: alpha, "doctor", in: scratch)
                    #expect(found.names("server port.taken wrong"), "\(found)")
                    // The doctor asks for the card, as anybody may.
                    #expect(!other.heard.contains { $0.lowercased().contains("authorization") }, "\(other.heard)")
                }
            }
        }

        @Test("Another directory's server of the same name is not taken for this one's")
        func otherDirectory() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                try await alpha.start()
                let copy = alpha.home + ".copy"
                try FileManager.default.createDirectory(
                    atPath: copy, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
                for file in ["identity.key", "next.key", "recovery.sha256", "admin.key", "admin.sha256", "aether.json"]
                {
                    try FileManager.default.copyItem(atPath: alpha.home + "/" + file, toPath: copy + "/" + file)
                }
                let end = try await scratch.aether("peers", "list", "--data", copy)
                #expect(end.code == 1 && end.err.contains("no server runs in \(copy)"), "\(end.err)")
                let found = Diagnosis(try await scratch.aether("doctor", "--self", "--json", "--data", copy))
                #expect(found.names("server port.taken wrong"), "\(found)")
            }
        }

        @Test(
            "What does not say where a server listens is refused in one line, and keeps no owner from replacing the keys"
        )
        func damaged() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                try await alpha.start()
                let file = alpha.home + "/listening.json"
                let record = try String(contentsOfFile: file, encoding: .utf8)
                for text in ["", "{", "{}", record.replacingOccurrences(of: "\"port\":", with: "\"port\":-")] {
                    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
                    chmod(file, 0o600)
                    let end = try await scratch.aether("peers", "list", "--data", alpha.home)
                    #expect(end.code == 1 && end.complaints.count == 1, "\(end.err)")
                    #expect(end.err.contains("[server.placeUnknown]"), "\(end.err)")
                }
                try Data(record.utf8).write(to: URL(fileURLWithPath: file))
                chmod(file, 0o644)
                let open = try await scratch.aether("peers", "list", "--data", alpha.home)
                #expect(open.code == 1 && open.err.contains("can be read by others"), "\(open.err)")
                chmod(file, 0o600)
                // What a server that was killed has left, before the next one says where it is.
                let process = try #require(JSON(record)["process"].int)
                let stale = record.replacingOccurrences(of: "\(process)", with: "1")
                for text in [nil, stale] {
                    try FileManager.default.removeItem(atPath: file)
                    if let text { try Data(text.utf8).write(to: URL(fileURLWithPath: file)) }
                    chmod(file, 0o600)
                    let end = try await scratch.aether("peers", "list", "--data", alpha.home)
                    #expect(end.code == 1 && end.err.contains("[server.notReady]"), "\(end.err)")
                    if text == nil { try Data(stale.utf8).write(to: URL(fileURLWithPath: file)) }
                }
                // The owner's word is not lost because of it, and may be given again.
                for _ in 0..<2 {
                    let revoked = try await scratch.aether(
                        ["keys", "revoke", "--data", alpha.home, "--json"], input: alpha.recovery + "\n")
                    #expect(revoked.code == 0 && JSON(revoked.out)["pending"].string == "true", "\(revoked)")
                    // It runs on under its old keys, which a script must be able to tell from a server that is down.
                    #expect(JSON(revoked.out)["running"].string == "true", "\(revoked)")
                }
                try Data(record.utf8).write(to: URL(fileURLWithPath: file))
                let revoked = try await scratch.aether(
                    ["keys", "revoke", "--data", alpha.home, "--json"], input: alpha.recovery + "\n")
                #expect(revoked.code == 0 && JSON(revoked.out)["pending"].string == nil, "\(revoked)")
                #expect(JSON(revoked.out)["next"].string != nil, "\(revoked)")
            }
        }
    }
}
