import FederationCore
import FederationModel
import FederationService
import Foundation
import Testing

@testable import FederationSQLite

/// A directory of its own for one test, removed at the end.
final class Scratch: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "aether-store-" + UUID().uuidString
        mkdir(path, 0o700)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Where the test's data directory goes; it does not exist yet.
    var data: String { "\(path)/data" }

    var database: String { "\(data)/federation.sqlite3" }
}

/// Runs `body` on a store in `directory`, and closes it.
func withStore<Result>(_ directory: String, _ body: (SQLiteStore) async throws -> Result) async throws -> Result {
    let store = try await SQLiteStore.open(in: DataDirectory(at: directory))
    let result = try await body(store)
    try await store.close()
    return result
}

extension StoredState {
    /// With the handoffs by id: a store gives them in any order.
    var inOrder: StoredState {
        var state = self
        state.handoffs.sort { $0.id < $1.id }
        return state
    }
}

/// The refusal that `body` throws.
func refusal(_ location: SourceLocation = #_sourceLocation, _ body: () async throws -> Void) async -> Refusal? {
    do {
        try await body()
        Issue.record("nothing was refused", sourceLocation: location)
    } catch let refusal as Refusal {
        return refusal
    } catch {
        Issue.record("no refusal but \(error)", sourceLocation: location)
    }
    return nil
}

/// The permission bits of a file.
func mode(_ path: String) -> UInt32? {
    var status = stat()
    return stat(path, &status) == 0 ? UInt32(status.st_mode) & 0o777 : nil
}

/// Reads a whole asset in pieces of `chunk` bytes.
func readAll(_ hash: ContentHash, from store: any AssetStore, chunk: Int = 1_000) async throws -> [UInt8]? {
    var bytes: [UInt8] = []
    while let piece = try await store.read(hash, offset: Int64(bytes.count), length: chunk) {
        bytes += piece
        if piece.count < chunk { return bytes }
    }
    return nil
}

/// Lets no file of this process grow beyond so many bytes: that stands in for a full disk, since the same call fails in the
/// same place. For processes of their own.
///
/// - Returns: whether it could be set.
func limitFiles(to bytes: UInt) -> Bool {
    signal(SIGXFSZ, SIG_IGN)
    var limit = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(bytes))
    #if canImport(Darwin)
        let resource = RLIMIT_FSIZE
    #else
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    #endif
    return setrlimit(resource, &limit) == 0
}
