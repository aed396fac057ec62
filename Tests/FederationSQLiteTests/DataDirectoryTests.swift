import FederationModel
import Foundation
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
