import FederationModel
import Foundation

/// Files that only their owner may read.
enum PrivateFile {
    /// How the names of files end that are being written. One that a process has left behind when it was killed counts for
    /// nothing.
    private static let unfinished = ".unfinished"

    /// Creates a file with mode 0600 and makes it durable; never replaces one. It is there whole or not at all, whatever
    /// goes wrong meanwhile.
    static func create(_ path: String, _ text: String) throws {
        let temporary = "\(path).\(hexString(SystemRandom.bytes(8)))\(unfinished)"
        defer { unlink(temporary) }
        try write(text, to: temporary, for: path)
        // Unlike renaming, this never replaces anything.
        guard link(temporary, path) == 0 else {
            let code = errno
            guard code == EEXIST else { throw failure("written", path, code) }
            throw Refusal(
                .conflict, code: "data.exists", reason: "\(path) is there already, and is never written over",
                remedy:
                    "if an aether init was cut short here, remove the file and repeat it; else choose another directory"
            )
        }
        unlink(temporary)
        do {
            try synchroniseDirectory(URL(fileURLWithPath: path).deletingLastPathComponent().path)
        } catch {
            unlink(path)
            throw error
        }
    }

    private static func write(_ text: String, to temporary: String, for path: String) throws {
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("written", path, errno) }
        defer { close(descriptor) }
        var bytes = Array(text.utf8)
        defer { for index in bytes.indices { bytes[index] = 0 } }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Foundation.write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            guard count > 0 else { throw failure("written", path, errno) }
            written += count
        }
        guard fsync(descriptor) == 0 else { throw failure("made durable", path, errno) }
    }

    /// Removes what killed processes have left unfinished in a directory. Nobody else may be creating files there.
    static func removeUnfinished(in directory: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        for name in names where name.hasSuffix(unfinished) { unlink(directory + "/" + name) }
    }

    /// Removes a file for good, if it is there.
    static func remove(_ path: String) throws {
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("removed", path, errno) }
        try synchroniseDirectory(URL(fileURLWithPath: path).deletingLastPathComponent().path)
    }

    /// Makes what was created, renamed or removed in a directory durable.
    static func synchroniseDirectory(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("opened", path, errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("made durable", path, errno) }
    }

    /// The text of a small secret file; refuses one that others may read.
    static func read(_ path: String, what: String) throws -> String {
        String(decoding: try bytes(path, what: what), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The bytes of a small secret file, for a caller who overwrites them; refuses one that others may read.
    static func bytes(_ path: String, what: String) throws -> [UInt8] {
        var status = stat()
        guard stat(path, &status) == 0 else { throw missing(path, what: what) }
        guard status.st_mode & 0o077 == 0 else {
            throw Refusal(
                .forbidden, code: "data.readable", reason: "\(path) can be read by others",
                remedy: "chmod 600 \(path), and think about who may have read it")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("read", path, errno) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        defer { overwrite(&bytes) }
        let count = bytes.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
        guard count >= 0, count < bytes.count else { throw failure("read", path, count < 0 ? errno : EFBIG) }
        return Array(bytes[..<count])
    }

    /// The bytes that hexadecimal digits stand for, white space at the end apart; nil for anything else. No copy of the
    /// digits is made that could not be overwritten.
    static func decodeHex(_ text: [UInt8]) -> [UInt8]? {
        func digit(_ byte: UInt8) -> UInt8? {
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x61...0x66: byte - 0x61 + 10
            default: nil
            }
        }
        let count = text.lastIndex { $0 > 0x20 }.map { $0 + 1 } ?? 0
        guard count.isMultiple(of: 2) else { return nil }
        var bytes = [UInt8](repeating: 0, count: count / 2)
        for index in bytes.indices {
            guard let high = digit(text[2 * index]), let low = digit(text[2 * index + 1]) else {
                overwrite(&bytes)
                return nil
            }
            bytes[index] = high << 4 | low
        }
        return bytes
    }

    /// Overwrites a secret that is no longer needed.
    static func overwrite(_ bytes: inout [UInt8]) {
        bytes.withUnsafeMutableBytes { memory in
            guard let start = memory.baseAddress else { return }
            explicit_bzero(start, memory.count)
        }
    }

    static func missing(_ path: String, what: String) -> Refusal {
        Refusal(
            .notFound, code: "data.missing", reason: "\(what) is missing: \(path)",
            remedy: "restore it from a backup, or make a new server with: aether init --data DIR")
    }

    private static func failure(_ what: String, _ path: String, _ code: Int32) -> Refusal {
        Refusal(
            .unavailable, code: "data.failed",
            reason: "\(path) could not be \(what): \(String(cString: strerror(code)))",
            remedy: "see to the directory's owner, mode and free space")
    }
}
