import FederationModel
import Foundation
import Synchronization
import TestKit
import Testing

@testable import FederationSQLite

@Suite("A data directory")
struct DataDirectoryTests {
    @Test("is closed to other users, and so is everything in it")
    func modes() async throws {
        let scratch = Scratch()
        let deep = "\(scratch.path)/not/there/yet/"
        let directory = try DataDirectory(at: deep)
        #expect(directory.path == "\(scratch.path)/not/there/yet")
        let store = try await SQLiteStore.open(in: directory)
        let assets = try await FileAssetStore.open(in: directory)
        try await store.apply([.putCardSequence(1)])
        let writer = try await assets.write()
        try await writer.append([1])
        let hash = try await writer.commit().hash
        #expect(mode(directory.path) == 0o700)
        for file in ["lock", "federation.sqlite3", "federation.sqlite3-wal", "federation.sqlite3-shm"] {
            #expect(mode(directory.file(file)) == 0o600, "\(file)")
        }
        #expect(mode(assets.layout.root) == 0o700)
        #expect(mode(assets.layout.file(hash)) == 0o600)
        try await store.close()
    }

    @Test("that other users can enter is closed to them when it is empty or known, and refused when it is not")
    func tooOpen() throws {
        let scratch = Scratch()
        mkdir(scratch.data, 0o755)
        chmod(scratch.data, 0o755)
        do { _ = try DataDirectory(at: scratch.data) }
        #expect(mode(scratch.data) == 0o700)
        chmod(scratch.data, 0o777)
        do { _ = try DataDirectory(at: scratch.data) }
        #expect(mode(scratch.data) == 0o700)

        let home = "\(scratch.path)/home"
        mkdir(home, 0o755)
        chmod(home, 0o755)
        try Data().write(to: URL(filePath: "\(home)/letter"))
        #expect(throws: StorageRefusal.tooOpen(home)) { try DataDirectory(at: home) }
        #expect(mode(home) == 0o755)
    }

    @Test("cannot be a file")
    func file() throws {
        let scratch = Scratch()
        try Data().write(to: URL(filePath: scratch.data))
        #expect(throws: StorageRefusal.notADirectory(scratch.data)) { try DataDirectory(at: scratch.data) }
        let below = "\(scratch.data)/x"
        #expect(throws: StorageRefusal.notADirectory(below)) { try DataDirectory(at: below) }
    }

    @Test("is held by one value at a time, for as long as a store in it lives")
    func oneHolder() async throws {
        let scratch = Scratch()
        do {
            let assets = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
            #expect(throws: StorageRefusal.inUse(scratch.data, by: getpid())) { try DataDirectory(at: scratch.data) }
            _ = try await assets.list()
        }
        _ = try DataDirectory(at: scratch.data)
    }

    @Test("says whether a server has it open, and one that begins waits for those who look")
    func isOpen() throws {
        let scratch = Scratch()
        #expect(try DataDirectory.owner(scratch.data) == nil)
        do {
            let directory = try DataDirectory(at: scratch.data)
            #expect(try DataDirectory.owner(directory.path)?.process == getpid())
            withExtendedLifetime(directory) {}
        }
        #expect(try DataDirectory.owner(scratch.data) == nil)
        // A look shares the lock with other looks, and keeps a server waiting until it is over.
        let lock = open("\(scratch.data)/lock", O_RDONLY | O_CLOEXEC)
        #expect(lock >= 0 && flock(lock, LOCK_SH) == 0)
        #expect(try DataDirectory.owner(scratch.data) == nil)
        let data = scratch.data
        let began = Mutex(false)
        let ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            let directory = try? DataDirectory(at: data)
            began.withLock { $0 = directory != nil }
            ended.signal()
        }
        // Once it has opened the lock it asks for it at once, and would be refused.
        let deadline = ContinuousClock.now + .seconds(10 * patience)
        while Self.descriptors(of: "\(data)/lock") < 2, ContinuousClock.now < deadline { sched_yield() }
        #expect(!began.withLock { $0 })
        flock(lock, LOCK_UN)
        close(lock)
        #expect(ended.wait(timeout: .now() + 10 * Double(patience)) == .success)
        #expect(began.withLock { $0 })
    }

    /// How many descriptors this process has of a file.
    private static func descriptors(of file: String) -> Int {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return all.count { (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == file }
    }

    @Test("that another process holds is refused, naming that process and the directory")
    func otherProcess() async throws {
        let scratch = Scratch()
        let data = scratch.data
        let directory = try DataDirectory(at: data)
        let result = try await #require(
            processExitsWith: .exitCode(3), observing: [\.standardErrorContent]
        ) { [data = data as String] in
            do {
                _ = try DataDirectory(at: data)
            } catch let error as Refusal {
                try FileHandle.standardError.write(contentsOf: Data(error.description.utf8))
                exit(3)
            }
        }
        let said = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(said.contains("the data directory \(directory.path) is in use by process \(getpid())"))
    }
}
