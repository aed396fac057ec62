import FederationModel
import FederationSQLite
import Foundation

/// Where a running server listens, as it says in its own data directory.
///
/// Flags and the environment may have it listen elsewhere than its configuration tells. And whoever else has that port while the
/// server does not run must not be shown the admin key: so the record counts only while a server has the directory open,
/// which the kernel knows, and it stands there only while the server has the port.
struct ListeningRecord: Codable, Equatable {
    /// The address that it has bound, in numbers: a name could lead elsewhere the next time.
    var address: String
    /// The port that it has.
    var port: Int
    /// The host by which others reach it, which its certificate is for.
    var name: String
    /// PEM files, as absolute paths.
    var certificate: String?
    var trustRoots: String?
    /// The server's own process, as its lock on the directory names it: another's record, left when that was killed, is none.
    var process: Int32

    /// What the configuration alone tells, for a look at who is there.
    init(_ configuration: ServerConfiguration) {
        self.init(configuration, address: configuration.host, port: configuration.port)
    }

    init(_ configuration: ServerConfiguration, address: String, port: Int) {
        func absolute(_ path: String) -> String {
            path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
        }
        self.address = address
        self.port = port
        name = "\(configuration.endpoint.host)"
        certificate = configuration.tlsCertificate.map(absolute)
        trustRoots = configuration.tlsTrustRoots.map(absolute)
        process = getpid()
    }

    private static func file(in home: ServerHome) -> String { home.path + "/listening.json" }

    /// Called by the server that has the port, as long as it has it.
    func write(in home: ServerHome) throws {
        try Self.remove(in: home)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try PrivateFile.create(
            Self.file(in: home), String(decoding: try encoder.encode(self), as: UTF8.self) + "\n")
    }

    /// Called before the port is given up, and before it is taken: a server that was killed has left its own.
    static func remove(in home: ServerHome) throws {
        try PrivateFile.remove(file(in: home))
    }

    /// Where the server in `home` listens; nil when none runs there.
    ///
    /// - Throws: `server.notReady` while it begins or ends; `server.placeUnknown` when it does not say where it listens.
    static func read(in home: ServerHome) throws -> ListeningRecord? {
        guard let owner = try DataDirectory.owner(home.path) else { return nil }
        let file = file(in: home)
        guard FileManager.default.fileExists(atPath: file) else { throw notReady(home) }
        let text: [UInt8]
        do {
            text = try PrivateFile.bytes(file, what: "where the server listens")
        } catch let refusal as Refusal {
            throw unknown(home, because: refusal.reason)
        }
        guard let record = try? JSONDecoder().decode(Self.self, from: Data(text)), (1...65_535).contains(record.port)
        else { throw unknown(home, because: "\(file) is damaged") }
        guard record.process == owner.process else { throw notReady(home) }
        return record
    }

    static let notReadyCode = "server.notReady"
    static let unknownCode = "server.placeUnknown"

    private static func notReady(_ home: ServerHome) -> Refusal {
        Refusal(
            .unavailable, code: notReadyCode,
            reason: "the server in \(home.path) is beginning or ending, and does not say yet where it listens",
            remedy: "try again in a moment; if that stays, restart it, or name its address with --server")
    }

    private static func unknown(_ home: ServerHome, because cause: String) -> Refusal {
        Refusal(
            .unavailable, code: unknownCode,
            reason: "where the server in \(home.path) listens is not known: \(cause)",
            remedy: "restart it, or name its address with --server")
    }
}
