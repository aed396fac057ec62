import Foundation

/// A folder for a measure that waits for a disk.
enum Disk {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// File systems that keep nothing on a disk.
    private static let memoryOnly: Set<Substring> = ["tmpfs", "ramfs"]

    /// A new folder below the one for temporary files.
    ///
    /// - Throws: when that is in memory: what is measured there is not the disk.
    static func folder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "aether-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        guard !memoryOnly.contains(system(of: folder.resolvingSymlinksInPath().path)) else {
            try? FileManager.default.removeItem(at: folder)
            throw Failure(
                description: "\(folder.path) is in memory, not on a disk: set TMPDIR to a folder that is on one")
        }
        return folder
    }

    /// The type of the file system that holds `path`, by the mount point with the longest name; empty when that cannot be
    /// told (`proc(5)`, /proc/self/mounts).
    private static func system(of path: String) -> Substring {
        guard let text = try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8) else { return "" }
        var best: (point: Substring, type: Substring) = ("", "")
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            let point = fields[1]
            guard point == "/" || path == point || path.hasPrefix(point + "/") else { continue }
            // What is mounted later over the same place hides what was there.
            if point.utf8.count >= best.point.utf8.count { best = (point, fields[2]) }
        }
        return best.type
    }
}
