import FederationModel
import Foundation
import GRDB

/// The refusals of this adapter, with their stable codes in one place.
enum StorageRefusal {
    static let inUseCode = "store.inUse"

    static func inUse(_ path: String, by owner: Int32?) -> Refusal {
        let who = owner.map { "process \($0)" } ?? "another process"
        return Refusal(
            .conflict, code: inUseCode, reason: "the data directory \(path) is in use by \(who)",
            remedy: "stop that process, or choose another data directory")
    }

    static func lookedAt(_ path: String) -> Refusal {
        Refusal(
            .unavailable, code: "store.lookedAt",
            reason: "another command has been looking at the data directory \(path) all the time",
            remedy: "end it, as aether doctor, and try again")
    }

    static func notADirectory(_ path: String) -> Refusal {
        Refusal(
            .invalid, code: "store.notADirectory", reason: "\(path) is not a directory",
            remedy: "name a directory, or a path where one can be made")
    }

    static func tooOpen(_ path: String) -> Refusal {
        Refusal(
            .forbidden, code: "store.tooOpen",
            reason: "the directory \(path) has other things in it and other users can enter it",
            remedy: "choose an empty data directory, or close this one with: chmod 700 \(path)")
    }

    static func newer(_ path: String) -> Refusal {
        Refusal(
            .unavailable, code: "store.newer", reason: "\(path) was written by a newer version of this program",
            remedy: "run that version, or restore a backup that this one made")
    }

    static func foreign(_ path: String) -> Refusal {
        Refusal(
            .invalid, code: "store.foreign", reason: "\(path) is the database of another program",
            remedy: "choose another data directory, or move the file away")
    }

    static func corrupt(_ path: String, _ detail: String) -> Refusal {
        Refusal(
            .unavailable, code: "store.corrupt", reason: "\(path) is damaged: \(detail)",
            remedy: "restore it from a backup, or take the rows that can be read with: sqlite3 \(path) .recover")
    }

    static func row(_ failure: RowFailure, in path: String) -> Refusal {
        Refusal(
            .unavailable, code: "store.corrupt", reason: "\(path) is damaged: \(failure)",
            remedy: "mend or delete that row with sqlite3 while the server is stopped, or restore a backup")
    }

    static func full(_ path: String) -> Refusal {
        Refusal(
            .unavailable, code: "store.full", reason: "there is no space left to write \(path)",
            remedy: "free some space on that file system, then try again")
    }

    static func busy(_ path: String) -> Refusal {
        Refusal(
            .unavailable, code: "store.busy", reason: "another process keeps \(path) locked",
            remedy: "close the sqlite3 shell or backup that holds it, then try again")
    }

    static func denied(_ path: String) -> Refusal {
        Refusal(
            .forbidden, code: "store.denied", reason: "this user may not use \(path)",
            remedy: "run as the user who owns it, or change its owner and mode")
    }

    static func failed(_ path: String, _ detail: String) -> Refusal {
        Refusal(
            .unavailable, code: "store.failed", reason: "\(path) could not be used: \(detail)",
            remedy: "check the disk and the system log, then try again")
    }

    static func closed(_ path: String) -> Refusal {
        Refusal(
            .unavailable, code: "store.closed", reason: "\(path) is closed: the server is stopping",
            remedy: "start the server again, then repeat the request")
    }

    /// The refusal for a failed system call on `path`.
    static func system(_ path: String, _ number: Int32) -> Refusal {
        switch number {
        case ENOSPC, EDQUOT, EFBIG: full(path)
        case EACCES, EPERM, EROFS: denied(path)
        case ENOTDIR: notADirectory(path)
        default: failed(path, String(cString: strerror(number)))
        }
    }

    /// The refusal for whatever came out of SQLite.
    static func database(_ error: any Error, at path: String) -> Refusal {
        if let refusal = error as? Refusal { return refusal }
        if let failure = error as? RowFailure { return row(failure, in: path) }
        guard let error = error as? DatabaseError else { return failed(path, oneLine(String(describing: error))) }
        let message = oneLine(error.message ?? "SQLite error \(error.extendedResultCode.rawValue)")
        return switch error.resultCode {
        case .SQLITE_FULL: full(path)
        case .SQLITE_BUSY, .SQLITE_LOCKED: busy(path)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT: corrupt(path, message)
        case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH: denied(path)
        default: failed(path, message)
        }
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: "; ")
    }
}
