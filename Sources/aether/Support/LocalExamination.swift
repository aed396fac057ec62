import FederationCore
import FederationCrypto
import FederationModel
import FederationSQLite
import FederationTransport
import Foundation

/// What can be seen of a server from its own machine, also while it does not run: files, keys, port, store, disk.
struct LocalExamination {
    let home: ServerHome

    struct Found {
        var findings: [Finding] = []
        /// Its id; nil while the configuration does not tell.
        var server: String?
        /// Whether it runs and answers.
        var isRunning = false
    }

    func run() async -> Found {
        var found = Found()
        do {
            try home.requireInitialised()
        } catch {
            found.findings = [Self.finding("data", error)]
            return found
        }
        found.findings.append(directory())
        let loader = ConfigurationLoader(file: home.configurationFile, flags: [:])
        let configuration = try? await loader.load()
        found.server = configuration?.id.rawValue
        found.findings += await settings(loader, configuration)
        found.findings += await keys(configuration?.id)
        found.findings.append(disk())
        guard let configuration else { return found }
        do {
            if let record = try ListeningRecord.read(in: home) {
                let server = await answer(configuration, at: LocalServer(record))
                found.findings.append(server)
                found.isRunning = server.status == .ok
                return found
            }
        } catch {
            found.findings.append(Self.finding("server", error))
            return found
        }
        // Whether something listens is seen by trying to, before anybody is spoken to.
        let port = port(configuration)
        if port.status == .ok || port.code == "port.unusable" {
            found.findings += [port, Self.notRunning(LocalServer(configuration).base)]
            if let store = await store() { found.findings.append(store) }
            return found
        }
        let local = LocalServer(configuration)
        let server = await answer(configuration, at: local)
        switch server.code {
        case "server.notRunning": found.findings += [port, server]
        case "ok": found.findings.append(Self.taken(local.base, "\(configuration.id), out of another directory"))
        default: found.findings.append(server)
        }
        return found
    }

    private static func notRunning(_ base: String) -> Finding {
        .wrong("server", "server.notRunning", "nothing listens at \(base)", "start it with: aether serve")
    }

    private static func finding(_ check: String, _ error: any Error) -> Finding {
        (error as? Refusal).map { Finding(check, $0) }
            ?? .wrong(check, "data.failed", oneLine("\(error)"), "see to the owner and mode of the data directory")
    }

    // MARK: Files

    private func directory() -> Finding {
        var status = stat()
        guard access(home.path, W_OK) == 0 else {
            return .wrong(
                "data", "data.unwritable", "\(home.path) cannot be written: \(String(cString: strerror(errno)))",
                "see to its owner and mode, and to the disk")
        }
        guard stat(home.path, &status) == 0, status.st_mode & 0o077 == 0 else {
            return .warning(
                "data", "data.open", "other users can enter \(home.path)", "close it with: chmod 700 \(home.path)")
        }
        return .ok("data", "\(home.path) holds a server, and only its owner can enter it")
    }

    private func settings(_ loader: ConfigurationLoader, _ configuration: ServerConfiguration?) async -> [Finding] {
        let problems = await loader.problems()
        guard problems.isEmpty, let configuration else {
            return problems.map {
                .wrong("settings", "configuration.invalid", $0, "mend it, then: aether serve --check")
            }
        }
        do {
            try RunningServer.checkTLS(configuration)
        } catch {
            return [Self.finding("settings", error)]
        }
        guard configuration.clockOffset == .zero else {
            return [
                .warning(
                    "settings", "clock.rehearsed", "clock.offsetSeconds sets the clock wrong on purpose",
                    "take it out, unless this is a rehearsal")
            ]
        }
        return [.ok("settings", "\(home.configurationFile) is good")]
    }

    /// Each key file: there, private, whole. Nothing of them is shown.
    private func keys(_ id: ServerID?) async -> [Finding] {
        var findings: [Finding] = []
        func check(_ body: () throws -> Void) {
            do { try body() } catch { findings.append(Self.finding("keys", error)) }
        }
        let id = id ?? ServerID(unchecked: "self")
        let files = KeyFiles(home: home, id: id)
        check { _ = try home.identity(id: id) }
        check { _ = try home.adminHash() }
        for file in [files.nextFile, files.pendingFile] where FileManager.default.fileExists(atPath: file) {
            check { _ = try home.identity(id: id, from: file) }
        }
        if FileManager.default.fileExists(atPath: files.recoveryFile) {
            check {
                guard ContentHash(try PrivateFile.read(files.recoveryFile, what: "the recovery key's hash")) != nil
                else {
                    throw Refusal(
                        .unavailable, code: "recovery.damaged",
                        reason: "\(files.recoveryFile) does not hold a hash (64 hex digits)",
                        remedy: "restore it from a backup")
                }
            }
        } else {
            findings.append(
                .warning(
                    "keys", "recovery.missing", "there is no recovery key: a stolen key could not be taken back",
                    "restore \(files.recoveryFile) from a backup, or make a new server"))
        }
        if FileManager.default.fileExists(atPath: home.adminKeyFile) {
            check { try adminKey() }
        }
        // Whether they are those that the store speaks of. One that cannot be read is told as that.
        if findings.allSatisfy({ $0.status != .wrong }), let noted = try? await SQLiteStore.notedKeys(in: home.path) {
            check { try files.check(noted) }
        }
        return findings.isEmpty ? [.ok("keys", "every key file is whole, and only its owner can read it")] : findings
    }

    private func adminKey() throws {
        guard ContentHash.of(Array(try home.adminKey().utf8)) == (try home.adminHash()) else {
            throw Refusal(
                .conflict, code: "admin.mismatch",
                reason: "\(home.adminKeyFile) is not the key that the server expects",
                remedy: "restore both admin files, or make a new key as SECURITY.md says")
        }
    }

    private func disk() -> Finding {
        var status = statvfs()
        guard statvfs(home.path, &status) == 0 else {
            return .warning("disk", "disk.unknown", "the free space is not known", "see to the disk yourself")
        }
        let free = Int64(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
        let shown = "\(humanSize(free)) are free for \(home.path)"
        if free < 64 << 20 { return .wrong("disk", "disk.full", shown, "make room: nothing can be promised without") }
        if free < 1 << 30 { return .warning("disk", "disk.low", shown, "make room") }
        return .ok("disk", shown)
    }

    // MARK: The process

    /// Whether this server answers there.
    private func answer(_ configuration: ServerConfiguration, at local: LocalServer) async -> Finding {
        let base = local.base
        do {
            let response = try await AdminClient(base: base, key: nil, http: local.http)
                .request("GET", "/.well-known/aether-federation", timeout: .seconds(5))
            guard let compact = GuardedCards.compact(Array(response.body)),
                let card = try? ServerCard.verify(compact, at: Self.now(configuration))
            else { return Self.taken(base, "something that shows no card of its own") }
            guard card.id == configuration.id else { return Self.taken(base, "the server \(card.id)") }
            return .ok("server", "\(card.id) answers at \(base)")
        } catch let refusal as Refusal where refusal.code != "server.unreachable" {
            return Self.taken(base, "something that serves no card")
        } catch {
            let reason = (error as? Refusal)?.reason ?? oneLine("\(error)")
            if reason.contains("Connection refused") { return Self.notRunning(base) }
            if base.hasPrefix("https"), reason.contains("ertificate") || reason.contains("CERTIFICATE") {
                return .warning(
                    "server", "server.certificate", "the certificate at \(base) is not for that name",
                    "name the server in 'endpoint' as its certificate does, or get one for that name")
            }
            if reason.contains("in time") {
                return .wrong(
                    "server", "server.silent", "what listens at \(base) does not answer",
                    "see whether the server hangs, or something else has the port")
            }
            return Self.taken(base, "something that speaks otherwise (\(reason))")
        }
    }

    private static func taken(_ base: String, _ what: String) -> Finding {
        .wrong(
            "server", "port.taken", "at \(base) answers \(what), not this server",
            "stop what listens there, or choose another port (listen.port)")
    }

    /// The card's times are judged by the clock that the server is told to have.
    private static func now(_ configuration: ServerConfiguration) -> Timestamp {
        Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)) + configuration.clockOffset
    }

    /// Whether the server could listen.
    private func port(_ configuration: ServerConfiguration) -> Finding {
        let place = "\(configuration.host):\(configuration.port)"
        guard let failure = ListenProbe.failure(host: configuration.host, port: configuration.port) else {
            return .ok("port", "\(place) is free")
        }
        switch failure {
        case EACCES:
            return .wrong(
                "port", "port.denied", "this user may not listen at \(place)",
                "choose a port from 1024 on (listen.port)")
        case EADDRINUSE:
            return .wrong(
                "port", "port.taken", "something else listens at \(place)",
                "stop what listens there, or choose another port (listen.port)")
        default:
            return .wrong(
                "port", "port.unusable", "nothing can listen at \(place): \(String(cString: strerror(failure)))",
                "correct listen.host: an address of this machine, or 0.0.0.0")
        }
    }

    /// Whether the store can be read, as it will be at the next start; nil while there is none. Nothing in it is changed.
    private func store() async -> Finding? {
        let isThere = FileManager.default.fileExists(atPath: home.path + "/federation.sqlite3")
        guard isThere || home.hasRun else { return nil }
        do {
            if home.hasRun, let noted = try await SQLiteStore.notedKeys(in: home.path), noted.present == nil {
                let empty = RunningServer.emptyStore(home)
                return .warning("store", empty.code, empty.reason, empty.remedy)
            }
            switch try await SQLiteStore.examine(in: home.path) {
            case .whole: return .ok("store", "the store opens and is whole")
            case .older:
                return .ok("store", "the store is of an older version, and the next start brings it up to date")
            }
        } catch {
            return Self.finding("store", error)
        }
    }
}

/// Whether a socket can listen somewhere.
private enum ListenProbe {
    /// The error number; nil when it can. The socket is closed at once, and nobody is accepted.
    static func failure(host: String, port: Int) -> Int32? {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0, let entry = list?.pointee else { return EADDRNOTAVAIL }
        defer { freeaddrinfo(list) }
        let descriptor = socket(entry.ai_family, entry.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), entry.ai_protocol)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, entry.ai_addr, entry.ai_addrlen) == 0 else { return errno }
        return listen(descriptor, 1) == 0 ? nil : errno
    }
}
