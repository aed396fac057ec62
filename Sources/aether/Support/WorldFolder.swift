import FederationCore
import FederationCrypto
import FederationModel
import Foundation

/// A folder on this machine as a world: its files, their hashes and their types.
struct WorldFolder {
    let path: String
    let manifest: WorldManifest
    /// The file to upload for each hash.
    let files: [ContentHash: String]

    /// Reads every regular file below `path`; hidden files are left out, links are refused.
    init(_ path: String, world: WorldID, name: String) throws {
        let root = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: root, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw Refusal(
                .invalid, code: "world.noFolder", reason: "\(path) is not a folder", remedy: "name a folder of files")
        }
        var entries: [AssetEntry] = []
        var files: [ContentHash: String] = [:]
        for relative in try Self.list(root) {
            let file = root + "/" + relative
            Terminal.progress("hashing \(relative)")
            let (hash, size) = try FileHash.of(file)
            guard let entry = AssetEntry(path: relative, hash: hash, size: size, mediaType: Self.mediaType(relative))
            else {
                throw Refusal(
                    .invalid, code: "world.badFile", reason: "\(relative) has a name or a size that no world may hold",
                    remedy: "rename or remove it")
            }
            entries.append(entry)
            files[hash] = file
        }
        Terminal.progress("")
        guard !entries.isEmpty else {
            throw Refusal(
                .invalid, code: "world.empty", reason: "\(path) holds no files", remedy: "name another folder")
        }
        do {
            manifest = try WorldManifest(world: world, name: name, entries: entries)
        } catch {
            throw error.refusal
        }
        self.path = root
        self.files = files
    }

    /// Sends what the server does not hold whole, then the manifest. Returns the bytes that were sent.
    func publish(to client: AdminClient) async throws -> Int64 {
        var sent: Int64 = 0
        for (index, entry) in manifest.entries.enumerated() {
            Terminal.progress("uploading \(index + 1) of \(manifest.entries.count): \(entry.path)")
            guard let file = files[entry.hash] else { continue }
            if try await isHeld(entry.hash, by: client) { continue }
            _ = try await client.request(
                "PUT", "/v1/assets/\(entry.hash)", body: .file(file, size: entry.size), timeout: .hours(1))
            sent += entry.size
        }
        Terminal.progress("")
        _ = try await client.request(
            "PUT", "/v1/worlds/\(manifest.world)",
            body: .bytes(Data(manifest.canonicalBytes), type: "application/json"))
        return sent
    }

    /// The server reads it again: a file that was damaged on its disk is no reason to keep the good one back.
    private func isHeld(_ hash: ContentHash, by client: AdminClient) async throws -> Bool {
        do {
            _ = try await client.request("POST", "/v1/assets/\(hash)/verify", timeout: .hours(1))
            return true
        } catch let refusal as Refusal where refusal.kind == .notFound || refusal.code == "asset.damaged" {
            return false
        }
    }

    private static func list(_ root: String) throws -> [String] {
        var found: [String] = []
        var folders = [""]
        while let folder = folders.popLast() {
            let path = root + "/" + folder
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
                throw Refusal(
                    .invalid, code: "world.unreadable", reason: "the folder \(path) cannot be read",
                    remedy: "change its mode, or move it away")
            }
            for name in names where !name.hasPrefix(".") {
                var status = stat()
                guard lstat(path + name, &status) == 0 else { continue }
                switch status.st_mode & S_IFMT {
                case S_IFDIR: folders.append(folder + name + "/")
                case S_IFREG: found.append(folder + name)
                case S_IFLNK:
                    throw Refusal(
                        .invalid, code: "world.link",
                        reason: "\(path)\(name) is a link, which may lead out of the folder",
                        remedy: "put the file itself there")
                default:
                    throw Refusal(
                        .invalid, code: "world.notAFile", reason: "\(path)\(name) is neither a file nor a folder",
                        remedy: "move it away")
                }
            }
        }
        return found.sorted()
    }

    /// By the file's ending; what is not known is bytes.
    static func mediaType(_ path: String) -> String {
        let types = [
            "json": "application/json", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg",
            "webp": "image/webp", "svg": "image/svg+xml", "wav": "audio/wav", "ogg": "audio/ogg", "mp3": "audio/mpeg",
            "obj": "model/obj", "mtl": "model/mtl", "gltf": "model/gltf+json", "glb": "model/gltf-binary",
            "txt": "text/plain", "md": "text/markdown", "bin": "application/octet-stream",
        ]
        let ending = path.split(separator: ".").last.map { $0.lowercased() } ?? ""
        return types[ending] ?? "application/octet-stream"
    }
}
