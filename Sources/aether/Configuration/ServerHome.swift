import FederationCrypto
import FederationModel
import Foundation

/// Where one server keeps everything: `aether.json` (configuration), `identity.key` and `admin.key` (0600),
/// `admin.sha256`, the database and the assets.
struct ServerHome {
    let path: String

    var configurationFile: String { path + "/aether.json" }
    var identityFile: String { path + "/identity.key" }
    var adminKeyFile: String { path + "/admin.key" }
    var adminHashFile: String { path + "/admin.sha256" }

    /// `--data`, else AETHER_DATA, else `~/.aether`.
    init(_ option: String?) {
        let environment = ProcessInfo.processInfo.environment
        let chosen = option ?? environment["AETHER_DATA"] ?? (environment["HOME"] ?? ".") + "/.aether"
        let trimmed = chosen.count > 1 && chosen.hasSuffix("/") ? String(chosen.dropLast()) : chosen
        path = trimmed.hasPrefix("/") ? trimmed : FileManager.default.currentDirectoryPath + "/" + trimmed
    }

    var isInitialised: Bool { FileManager.default.fileExists(atPath: identityFile) }

    private var startedFile: String { path + "/started" }

    /// Whether a server has come up here before, with a store that has noted its keys.
    var hasRun: Bool { FileManager.default.fileExists(atPath: startedFile) }

    func noteThatItRuns() throws {
        if !hasRun { try PrivateFile.create(startedFile, "") }
    }

    /// - Throws: what to do where there is no server yet.
    func requireInitialised() throws {
        guard isInitialised else {
            throw Refusal(
                .notFound, code: "data.missing", reason: "\(path) holds no server",
                remedy: "make one with: aether init --id NAME --data \(path), or name its directory with --data")
        }
    }

    /// Makes keys, the admin key and a configuration, each file readable by its owner only. Refuses to touch a directory
    /// that holds an identity already.
    ///
    /// - Parameter show: is given the recovery key, to be written down, since it is kept nowhere, and the identity, before the
    ///   server exists. What it throws is thrown, and there is no server: nobody would have that key.
    func initialise(
        configuration: ServerConfiguration, show: (RecoveryCode, ServerIdentity) throws -> Void = { _, _ in }
    ) throws {
        guard !isInitialised else {
            throw Refusal(
                .conflict, code: "data.exists", reason: "\(path) holds the identity of a server already",
                remedy: "choose another directory with --data, or use this one as it is")
        }
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Refusal(
                .unavailable, code: "data.unwritable", reason: "\(path) cannot be made: \(error.localizedDescription)",
                remedy: "choose a directory that you may write to, with --data")
        }
        try close()
        var made: [String] = []
        func make(_ file: String, _ text: String) throws {
            try PrivateFile.create(file, text)
            made.append(file)
        }
        do {
            let admin = hexString(SystemRandom.bytes(32))
            try make(adminKeyFile, admin + "\n")
            try make(adminHashFile, ContentHash.of(Array(admin.utf8)).description + "\n")
            try make(configurationFile, configuration.fileText)
            let recovery = try KeyFiles(home: self, id: configuration.id).prepare()
            var seed = SystemRandom.bytes(ServerIdentity.seedBytes)
            defer { PrivateFile.overwrite(&seed) }
            try show(recovery, try ServerIdentity(id: configuration.id, seed: seed))
            // Last, because its presence says that the directory is complete.
            do {
                // Of a server that was here before and is not any more.
                try PrivateFile.remove(startedFile)
                try make(identityFile, hexString(seed) + "\n")
            } catch let refusal as Refusal {
                throw Refusal(
                    refusal.kind, code: refusal.code,
                    reason: refusal.reason + "; the recovery key that was shown is of no use", remedy: refusal.remedy)
            }
        } catch {
            // So that it can be tried again.
            for file in made { try? PrivateFile.remove(file) }
            throw error
        }
    }

    /// Takes other users' rights to a directory that was there before. One with other things in it is refused: it may be
    /// somebody's home.
    private func close() throws {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & 0o077 != 0 else { return }
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        guard names.isEmpty, chmod(path, 0o700) == 0 else {
            throw Refusal(
                .forbidden, code: "data.open", reason: "\(path) has other things in it and other users can enter it",
                remedy: "choose an empty directory, or close this one with: chmod 700 \(path)")
        }
    }

    /// The code of the refusal of a file that holds no key.
    static let damagedIdentity = "identity.damaged"

    /// The server's identity; the seed does not leave this function in any other form.
    ///
    /// - Parameter file: the key file; nil for the present one's.
    func identity(id: ServerID, from file: String? = nil) throws -> ServerIdentity {
        let file = file ?? identityFile
        var text = try PrivateFile.bytes(file, what: "the identity key")
        defer { PrivateFile.overwrite(&text) }
        guard var seed = PrivateFile.decodeHex(text), seed.count == ServerIdentity.seedBytes else {
            throw Refusal(
                .unavailable, code: Self.damagedIdentity, reason: "\(file) does not hold a key (64 hex digits)",
                remedy: "restore it from a backup; without it this server is a new one to its peers")
        }
        defer { PrivateFile.overwrite(&seed) }
        return try ServerIdentity(id: id, seed: seed)
    }

    /// The operator's key, for commands on the same machine.
    func adminKey() throws -> String {
        try PrivateFile.read(adminKeyFile, what: "the admin key")
    }

    /// The hash that the server compares admin keys with.
    func adminHash() throws -> ContentHash {
        guard let hash = ContentHash(try PrivateFile.read(adminHashFile, what: "the admin key's hash")) else {
            throw Refusal(
                .unavailable, code: "admin.damaged", reason: "\(adminHashFile) does not hold a hash (64 hex digits)",
                remedy: "restore it from a backup")
        }
        return hash
    }
}

/// The operating system's randomness.
enum SystemRandom {
    static func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
