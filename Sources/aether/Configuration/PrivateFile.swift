import FederationModel
import Foundation

/// Files that only their owner may read.
enum PrivateFile {
    /// Creates a file with mode 0600 and makes it durable; never replaces one.
    static func create(_ path: String, _ text: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("written", path, errno) }
        defer { close(descriptor) }
        var bytes = Array(text.utf8)
        defer { for index in bytes.indices { bytes[index] = 0 } }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            guard count > 0 else { throw failure("written", path, errno) }
            written += count
        }
        guard fsync(descriptor) == 0 else { throw failure("made durable", path, errno) }
    }

    /// Reads a small secret file; refuses one that others may read.
    static func read(_ path: String, what: String) throws -> String {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw Refusal(
                .notFound, code: "data.missing", reason: "\(what) is missing: \(path)",
                remedy: "make a server with: aether init --data DIR")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw Refusal(
                .forbidden, code: "data.readable", reason: "\(path) can be read by others",
                remedy: "chmod 600 \(path), and think about who may have read it")
        }
        guard status.st_size <= 4_096, let data = FileManager.default.contents(atPath: path) else {
            throw failure("read", path, errno)
        }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func failure(_ what: String, _ path: String, _ code: Int32) -> Refusal {
        Refusal(
            .unavailable, code: "data.failed", reason: "\(path) could not be \(what): \(String(cString: strerror(code)))",
            remedy: "see to the directory's owner, mode and free space")
    }
}
