import FederationModel
import Foundation
import Synchronization

/// One of the demo's servers: a process of its own, with its own data directory and keys.
final class DemoServer: Sendable {
    let id: ServerID
    let name: String
    let port: Int
    let home: ServerHome
    let client: AdminClient
    let endpoint: Endpoint
    private let process = Mutex<Process?>(nil)

    /// Makes the data directory where it is missing.
    init(id: ServerID, name: String, port: Int, folder: String) throws {
        self.id = id
        self.name = name
        self.port = port
        home = ServerHome(folder + "/" + id.rawValue)
        guard let endpoint = Endpoint("ws://127.0.0.1:\(port)") else {
            throw Refusal(.invalid, code: "demo.port", reason: "port \(port) is not one", remedy: "free port 7700")
        }
        self.endpoint = endpoint
        if !home.isInitialised {
            try home.initialise(
                configuration: ServerConfiguration(
                    id: id, name: name, host: "127.0.0.1", port: port, endpoint: endpoint))
        }
        client = AdminClient(base: endpoint.httpBase, key: try home.adminKey())
    }

    var logFile: String { home.path + "/server.log" }

    /// Starts `aether serve` and waits until it answers.
    func start(_ arguments: [String] = []) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments =
            [
                "serve", "--data", home.path, "--host", "127.0.0.1", "--port", "\(port)", "--endpoint",
                endpoint.description, "--heartbeat-interval", "0.5", "--degraded-after", "3", "--unreachable-after",
                "8", "--allow-private-addresses",
                "--end-with-input",
            ] + arguments
        process.standardInput = Pipe()
        process.standardOutput = FileHandle.nullDevice
        if !FileManager.default.fileExists(atPath: logFile) { try PrivateFile.create(logFile, "") }
        let log = FileHandle(forWritingAtPath: logFile)
        _ = try log?.seekToEnd()
        process.standardError = log ?? FileHandle.nullDevice
        try process.run()
        self.process.withLock { $0 = process }
        try await waitUntilHealthy()
    }

    private func waitUntilHealthy() async throws {
        let answered = try await Wait.until(.seconds(30)) {
            guard self.process.withLock({ $0?.isRunning }) == true else { throw self.failedToStart }
            return (try? await AdminClient(base: self.client.base, key: nil).get("/.well-known/aether-federation"))
                != nil
        }
        guard answered else { throw failedToStart }
    }

    private var failedToStart: Refusal {
        let log = FileManager.default.contents(atPath: logFile).map {
            String(decoding: $0.suffix(2_000), as: UTF8.self)
        }
        let last = log?.split(separator: "\n").last.map(String.init) ?? "no log"
        return Refusal(
            .unavailable, code: "demo.noStart", reason: "\(id) did not start: \(last)", remedy: "read \(logFile)")
    }

    /// Ends the process without a chance to save anything.
    func kill() {
        process.withLock { process in
            guard let process, process.isRunning else { return }
            Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
    }

    /// Asks the process to end, and insists after a while.
    func stop() async {
        guard let running = process.withLock({ $0?.processIdentifier }) else { return }
        process.withLock { $0?.terminate() }
        let ended = try? await Wait.until(.seconds(10)) { self.process.withLock { $0?.isRunning } != true }
        if ended != true { Foundation.kill(running, SIGKILL) }
    }

    /// What this server says of a peer.
    func peer(_ id: ServerID) async throws -> JSONText.Fields {
        try await client.get("/v1/peers/\(id)").json.fields
    }
}

/// Waiting for what another process does: asking again, with a deadline.
enum Wait {
    static func until(_ limit: Duration, _ condition: () async throws -> Bool) async throws -> Bool {
        let clock = ContinuousClock()
        let deadline = clock.now + limit
        while clock.now < deadline {
            if try await condition() { return true }
            try await clock.sleep(for: .milliseconds(20))
        }
        return try await condition()
    }
}

/// Ports of this machine.
enum FreePort {
    /// `preferred` if nobody listens there, else one that the system chooses.
    static func near(_ preferred: Int, except taken: Int? = nil) throws -> Int {
        if preferred != taken, bound(preferred) != nil { return preferred }
        for _ in 0..<16 {
            if let port = bound(0), port != taken { return port }
        }
        throw Refusal(
            .unavailable, code: "demo.noPort", reason: "no port is free on this machine", remedy: "stop some servers")
    }

    /// Binds for a moment, and tells the port.
    private static func bound(_ port: Int) -> Int? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 && listen(descriptor, 1) == 0
                    && getsockname(descriptor, address, &length) == 0
            }
        }
        return isBound ? Int(in_port_t(bigEndian: address.sin_port)) : nil
    }
}
