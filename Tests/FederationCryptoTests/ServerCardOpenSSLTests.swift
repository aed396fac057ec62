import FederationModel
import Foundation
import Testing

@testable import FederationCrypto

/// The commands of PROTOCOL.md, "Checking a card by hand", run as they stand there.
@Suite("A card checked by hand with openssl", .enabled(if: OpenSSL.isInstalled, "openssl 3 is not installed"))
struct ServerCardOpenSSLTests {
    @Test("the commands of PROTOCOL.md accept a card and refuse a changed one")
    func commands() throws {
        let script = try OpenSSL.documentedCommands()
        let alpha = try Sample.identity(Sample.alpha, 1)
        let card = ServerCard(
            id: Sample.alpha, name: "Alpha", endpoint: try #require(Endpoint("ws://127.0.0.1:7700")),
            publicKey: alpha.publicKey, sequence: 1, worlds: [], issued: Sample.time,
            expires: Sample.time + .seconds(60))
        let text = card.issue(by: alpha)
        let good = try OpenSSL.run(script, card: text, key: alpha.publicKey)
        #expect(good.status == 0, "\(good.output)")
        #expect(good.output.contains("Signature Verified Successfully"))
        let beta = try Sample.identity(Sample.beta, 2)
        let other = try OpenSSL.run(script, card: text, key: beta.publicKey)
        #expect(other.status != 0)
        let changed = text.replacingOccurrences(of: ".eyJ", with: ".eyK")
        #expect(changed != text)
        #expect(try OpenSSL.run(script, card: changed, key: alpha.publicKey).status != 0)
    }
}

enum OpenSSL {
    static var isInstalled: Bool {
        (try? run("openssl version | grep -q '^OpenSSL 3'", card: "", key: nil).status == 0) ?? false
    }

    /// The shell lines between the markers in PROTOCOL.md.
    static func documentedCommands() throws -> String {
        let file = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("PROTOCOL.md")
        let text = try String(contentsOf: file, encoding: .utf8)
        let after = try #require(text.components(separatedBy: "<!-- card check begins -->").dropFirst().first)
        let block = try #require(after.components(separatedBy: "<!-- card check ends -->").first)
        let lines = block.split(separator: "\n").filter { !$0.hasPrefix("```") && !$0.hasPrefix("curl ") }
        return lines.joined(separator: "\n")
    }

    /// Runs `script` in a folder of its own that holds the card as `card.jws`, with `KEY` set to the key in hex.
    static func run(_ script: String, card: String, key: PublicKey?) throws -> (status: Int32, output: String) {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(card.utf8).write(to: folder.appendingPathComponent("card.jws"))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-ec", script]
        process.currentDirectoryURL = folder
        process.environment = ["PATH": "/usr/local/bin:/usr/bin:/bin", "KEY": key?.description ?? ""]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
