import FederationModel
import Foundation

/// The few system calls that durable files need, each with the refusal for when it fails.
enum Files {
    /// Makes a directory that only this user can enter. Returns whether it was missing.
    @discardableResult
    static func makeDirectory(_ path: String) throws(Refusal) -> Bool {
        if mkdir(path, 0o700) == 0 { return true }
        let number = errno
        guard number == EEXIST else { throw StorageRefusal.system(path, number) }
        guard isDirectory(path) else { throw StorageRefusal.notADirectory(path) }
        return false
    }

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The size of a regular file, in bytes; nil when there is none. Links are not followed.
    static func size(_ path: String) throws(Refusal) -> Int64? {
        var status = stat()
        if lstat(path, &status) == 0 { return status.st_mode & S_IFMT == S_IFREG ? Int64(status.st_size) : nil }
        let number = errno
        guard number == ENOENT || number == ENOTDIR else { throw StorageRefusal.system(path, number) }
        return nil
    }

    /// The names in a directory, sorted; without `.` and `..`.
    static func names(in path: String) throws(Refusal) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw StorageRefusal.failed(path, "it cannot be listed")
        }
    }

    /// Makes a new file that only this user can read, open for writing.
    static func create(_ path: String) throws(Refusal) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StorageRefusal.system(path, errno) }
        return descriptor
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32, path: String) throws(Refusal) {
        let failure: Int32? = bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let rest = UnsafeRawBufferPointer(rebasing: buffer[written...])
                let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
                if count > 0 {
                    written += count
                } else if count < 0, errno != EINTR {
                    return errno
                }
            }
            return nil
        }
        if let failure { throw StorageRefusal.system(path, failure) }
    }

    /// Opens a regular file for reading, and tells its size in bytes; nil when there is no such regular file. Links are refused.
    static func openRegular(_ path: String) throws(Refusal) -> (descriptor: Int32, size: Int64)? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            let number = errno
            if number == ENOENT || number == ENOTDIR { return nil }
            throw StorageRefusal.system(path, number)
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let number = errno
            close(descriptor)
            throw StorageRefusal.system(path, number)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            return nil
        }
        return (descriptor, Int64(status.st_size))
    }

    /// Reads on from where the file stands, over the beginning of `buffer`.
    ///
    /// - Returns: how many bytes; 0 only at the end.
    static func read(_ descriptor: Int32, into buffer: inout [UInt8], path: String) throws(Refusal) -> Int {
        while true {
            let count = buffer.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { return count }
            guard errno == EINTR else { throw StorageRefusal.system(path, errno) }
        }
    }

    /// Up to `length` bytes from `offset`; fewer only at the end; nil when there is no such regular file.
    static func read(_ path: String, offset: Int64, length: Int) throws(Refusal) -> [UInt8]? {
        guard let (descriptor, size) = try openRegular(path) else { return nil }
        defer { close(descriptor) }
        return try read(descriptor, of: size, offset: offset, length: length, path: path)
    }

    /// The same of an open file of `size` bytes.
    static func read(
        _ descriptor: Int32, of size: Int64, offset: Int64, length: Int, path: String
    ) throws(Refusal) -> [UInt8] {
        // What is there bounds the allocation, not what was asked for.
        let wanted = min(Int64(length), max(0, size - offset))
        guard wanted > 0 else { return [] }
        var failure: Int32?
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(wanted)) { buffer, filled in
            while filled < buffer.count {
                let rest = UnsafeMutableRawBufferPointer(buffer)[filled...]
                let count = pread(
                    descriptor, UnsafeMutableRawBufferPointer(rebasing: rest).baseAddress, rest.count,
                    off_t(offset) + off_t(filled))
                if count > 0 {
                    filled += count
                } else if count == 0 {
                    return
                } else if errno != EINTR {
                    failure = errno
                    return
                }
            }
        }
        if let failure { throw StorageRefusal.system(path, failure) }
        return bytes
    }

    /// Returns once the file's bytes are on the disk.
    static func synchronise(_ descriptor: Int32, path: String) throws(Refusal) {
        guard fsync(descriptor) == 0 else { throw StorageRefusal.system(path, errno) }
    }

    /// Returns once the names in a directory are on the disk.
    static func synchroniseDirectory(_ path: String) throws(Refusal) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StorageRefusal.system(path, errno) }
        defer { close(descriptor) }
        try synchronise(descriptor, path: path)
    }

    /// Renames within one file system, over whatever stands there. Returns whether `source` existed.
    @discardableResult
    static func move(_ source: String, to target: String) throws(Refusal) -> Bool {
        if rename(source, target) == 0 { return true }
        let number = errno
        guard number == ENOENT || number == ENOTDIR else { throw StorageRefusal.system(target, number) }
        return false
    }

    /// Removes a file. Returns whether it existed.
    @discardableResult
    static func remove(_ path: String) throws(Refusal) -> Bool {
        if unlink(path) == 0 { return true }
        let number = errno
        guard number == ENOENT || number == ENOTDIR else { throw StorageRefusal.system(path, number) }
        return false
    }
}
