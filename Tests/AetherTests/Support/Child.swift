import Foundation
import Synchronization
import TestKit
import Testing

/// A process of the test, which does not outlive it: its standard input is a pipe that closes when the test ends, and
/// whoever made it kills it by its id.
final class Child: Sendable {
    /// How a process ended, and what it wrote.
    struct End: Sendable {
        /// The exit code, or 128 and the signal's number.
        let code: Int32
        let out: String
        let err: String

        /// What reached a person on standard error, line by line.
        var complaints: [Substring] { err.split(separator: "\n") }
    }

    let id: pid_t
    private let outFile: String
    private let errFile: String
    private let input: Int32
    private let state: Mutex<Int32?>
    private let ended = DispatchGroup()

    /// Starts a program with its output in files of `folder`.
    init(_ program: String, _ arguments: [String], environment: [String: String], in folder: String) throws {
        let stem = "\(folder)/\(UUID().uuidString)"
        outFile = stem + ".out"
        errFile = stem + ".err"
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        // Other children must not hold this one's input open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        input = ends[1]
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, outFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, program, &actions, &attributes, &argv, &envp)
        try #require(code == 0, "\(program) cannot be started: \(String(cString: strerror(code)))")
        id = child
        state = Mutex(nil)
        ended.enter()
        Thread.detachNewThread { [self] in reap() }
    }

    /// Writes to its standard input, which stays open; little enough for a pipe.
    func write(_ text: String) throws {
        let bytes = Array(text.utf8)
        try #require(Glibc.write(input, bytes, bytes.count) == bytes.count)
    }

    /// Waits for the end without taking the id back, so that nobody signals an id that belongs to another process by then.
    private func reap() {
        var information = siginfo_t()
        while waitid(P_PID, id_t(id), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        state.withLock { state in
            var status: Int32 = 0
            waitpid(id, &status, 0)
            state = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
        }
        close(input)
        ended.leave()
    }

    var isRunning: Bool { state.withLock { $0 == nil } }
    var out: String { Self.text(outFile) }
    var err: String { Self.text(errFile) }

    func signal(_ number: Int32) {
        state.withLock { if $0 == nil { kill(id, number) } }
    }

    /// Waits for the end, at most so many seconds times the tests' patience.
    func end(within seconds: Double = 30, _ location: SourceLocation = #_sourceLocation) async throws -> End {
        let seconds = seconds * Double(patience)
        let inTime = await offPool { self.ended.wait(timeout: .now() + seconds) == .success }
        let code = state.withLock { $0 }
        try #require(inTime, "still running after \(seconds) s: \(out) \(err)", sourceLocation: location)
        return End(code: try #require(code), out: out, err: err)
    }

    /// Ends it now, whatever it does.
    func destroy() {
        signal(SIGKILL)
        _ = ended.wait(timeout: .now() + 10)
    }

    private static func text(_ file: String) -> String {
        String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
    }
}

/// Does what blocks on a thread of its own, so that other tests go on.
func offPool<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: work()) }
    }
}

/// Asks again and again until something is so, with a deadline that the tests' patience stretches. Between two questions
/// the thread lets others run.
func eventually(
    _ what: @autoclosure () -> String, within seconds: Double = 20, _ location: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let seconds = seconds * Double(patience)
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        _ = await offPool { poll(nil, 0, 10) }
    }
    try #require(Bool(false), "not within \(seconds) s: \(what())", sourceLocation: location)
}
