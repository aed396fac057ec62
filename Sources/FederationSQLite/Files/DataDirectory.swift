public import FederationModel
import Foundation

/// The one directory in which a server keeps everything, held by this process alone.
///
/// The directory is made when it is missing, and only its owner can enter it. A lock on the file `lock` in it
/// (`flock(2)`, so that the system lets go of it however the process dies) keeps every other process out for as long as
/// this value lives; the stores that are opened in it keep it alive.
public final class DataDirectory: Sendable {
    /// As it was given; without a final slash.
    public let path: String
    private let lock: Int32

    /// Makes the directory where it is missing, and locks it.
    ///
    /// - Throws: `store.inUse` when another process, or another value in this one, holds it; `store.notADirectory`;
    ///   `store.tooOpen` for a directory with other things in it that other users can enter; `store.denied`.
    public init(at path: String) throws(Refusal) {
        var path = path
        while path.utf8.count > 1, path.utf8.last == 0x2F { path.removeLast() }
        self.path = path
        let isNew = try Self.make(path)
        try Self.close(path, isNew: isNew)
        lock = try Self.lock(path)
        if isNew { try Files.synchroniseDirectory(Self.parent(of: path)) }
    }

    deinit {
        // Closing alone would leave the lock with a child process that was forked and has not yet begun to run.
        flock(lock, LOCK_UN)
        Foundation.close(lock)
    }

    /// The path of `name` in the directory. For names that this module chooses, never for names from outside.
    func file(_ name: String) -> String { "\(path)/\(name)" }

    private static let lockName = "lock"

    private static func make(_ path: String) throws(Refusal) -> Bool {
        let parent = parent(of: path)
        if parent != path, !Files.isDirectory(parent) {
            try? FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        }
        return try Files.makeDirectory(path)
    }

    /// Takes other users' rights away. A directory that already held something else is left as it is and refused: it
    /// may be somebody's home.
    private static func close(_ path: String, isNew: Bool) throws(Refusal) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw StorageRefusal.system(path, errno) }
        guard status.st_mode & 0o077 != 0 else { return }
        let names = try Files.names(in: path)
        guard isNew || names.isEmpty || names.contains(lockName) else { throw StorageRefusal.tooOpen(path) }
        guard chmod(path, 0o700) == 0 else { throw StorageRefusal.system(path, errno) }
    }

    /// The server that has a directory open.
    public struct Owner: Hashable, Sendable {
        /// The id of its process, as that knows it; nil when it cannot be told.
        public let process: Int32?
    }

    /// The server that has the directory open; nil when none has. Nothing is changed, and no server is kept from beginning.
    ///
    /// - Throws: `store.denied`, `store.failed`.
    public static func owner(_ path: String) throws -> Owner? {
        do {
            try withoutChange(path) {}
            return nil
        } catch let refusal as Refusal where refusal.code == StorageRefusal.inUseCode {
            return Owner(process: process(in: "\(path)/\(lockName)"))
        }
    }

    /// How long a server that begins waits for those that only look at the directory, in milliseconds: a look at a large store
    /// takes seconds.
    private static let patience = 10_000

    /// Takes the lock. Who only looks has it for a moment, and shares it.
    private static func take(_ descriptor: Int32, of path: String, _ file: String) throws(Refusal) {
        for _ in 0..<(patience / 10) {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
            guard errno == EWOULDBLOCK || errno == EINTR else { throw StorageRefusal.system(file, errno) }
            // Shared it cannot be had either while a server has it.
            guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else {
                guard errno == EWOULDBLOCK else { throw StorageRefusal.system(file, errno) }
                throw StorageRefusal.inUse(path, by: process(in: file))
            }
            flock(descriptor, LOCK_UN)
            usleep(10_000)
        }
        throw StorageRefusal.lookedAt(path)
    }

    private static func lock(_ path: String) throws(Refusal) -> Int32 {
        let file = "\(path)/\(lockName)"
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StorageRefusal.system(file, errno) }
        do throws(Refusal) {
            try take(descriptor, of: path, file)
            guard ftruncate(descriptor, 0) == 0 else { throw StorageRefusal.system(file, errno) }
            try Files.write(Array("\(getpid())\n".utf8), to: descriptor, path: file)
        } catch {
            Foundation.close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Runs `body` while no server can begin in the directory, and changes nothing there.
    ///
    /// - Throws: `store.inUse` when a server has it.
    static func withoutChange<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        let file = "\(path)/\(lockName)"
        let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            let number = errno
            // Where there is none no server has ever begun.
            guard number == ENOENT else { throw StorageRefusal.system(file, number) }
            return try body()
        }
        defer { Foundation.close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else {
            let number = errno
            guard number == EWOULDBLOCK else { throw StorageRefusal.system(file, number) }
            throw StorageRefusal.inUse(path, by: process(in: file))
        }
        defer { flock(descriptor, LOCK_UN) }
        return try body()
    }

    /// Who wrote the lock file; nil when that cannot be told.
    private static func process(in file: String) -> Int32? {
        guard let bytes = try? Files.read(file, offset: 0, length: 16) else { return nil }
        return Int32(String(decoding: bytes, as: UTF8.self).prefix { $0.isASCII && $0.isNumber })
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
