import ArgumentParser
import FederationCore
import FederationCrypto
import FederationModel
import Foundation

struct AssetsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "assets", abstract: "Keep and check files by their content hash.",
        subcommands: [Add.self, List.self, Verify.self], defaultSubcommand: List.self)

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "add", abstract: "Upload files.")

        @Argument var files: [String]
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let client = try await options.client()
            for file in files {
                let (hash, size) = try FileHash.of(file)
                _ = try await client.request(
                    "PUT", "/v1/assets/\(hash)", body: .file(file, size: size), timeout: .hours(1))
                Terminal.say(
                    options.json
                        ? jsonLine(["file": file, "sha256": hash.description, "size": size])
                        : "\(hash)  \(humanSize(size))  \(file)")
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the assets held.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().all("/v1/assets", "assets")
            options.show(response) { body in
                var table = Table("SHA-256", "SIZE")
                for asset in body["assets"].list {
                    table.add(asset["sha256"].text(), humanSize(asset["size"].int ?? 0))
                }
                table.show(empty: "No assets are held.")
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify", abstract: "Download every asset of a world, or one asset, and check size and hash.")

        @Argument(help: "A world's id, or a hash of 64 hex digits.") var subject: String
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let world = ContentHash(subject) == nil ? try identifier(subject, as: WorldID.self) : nil
            let client = try await options.client()
            let entries = try await entries(of: world, client)
            var wrong = 0
            var results: [[String: Any]] = []
            for (index, entry) in entries.enumerated() {
                Terminal.progress("verifying \(index + 1) of \(entries.count): \(entry.name)")
                let result = try await verify(entry, client)
                if result != "valid" { wrong += 1 }
                results.append(["name": entry.name, "sha256": entry.hash.description, "result": result])
                if !options.json, result != "valid" || entries.count == 1 {
                    Terminal.progress("")
                    Terminal.say("\(entry.name): \(result)")
                }
            }
            Terminal.progress("")
            if options.json {
                Terminal.say(jsonLine(["assets": results, "wrong": wrong]))
            } else {
                Terminal.say("\(entries.count - wrong) of \(entries.count) assets are valid.")
            }
            guard wrong == 0 else {
                throw Refusal(
                    .conflict, code: "asset.mismatch",
                    reason: "\(wrong) of \(entries.count) assets are damaged or missing",
                    remedy: world == nil
                        ? "upload the file again: aether assets add"
                        : "publish the world again: aether worlds add",
                    step: .verification)
            }
        }

        private struct Subject {
            let name: String
            let hash: ContentHash
            /// nil when only the hash is known.
            let size: Int64?
        }

        /// The files of a world; without one the asset that `subject` names.
        private func entries(of world: WorldID?, _ client: AdminClient) async throws -> [Subject] {
            guard let world else {
                return ContentHash(subject).map { [Subject(name: subject, hash: $0, size: nil)] } ?? []
            }
            let response = try await client.get("/v1/worlds/\(world)/manifest")
            let manifest: WorldManifest
            do {
                manifest = try WorldManifest(canonicalBytes: Array(response.body))
            } catch {
                throw error.refusal
            }
            return manifest.entries.map { Subject(name: $0.path, hash: $0.hash, size: $0.size) }
        }

        private func verify(_ entry: Subject, _ client: AdminClient) async throws -> String {
            var hasher = ContentHasher()
            var size: Int64 = 0
            do {
                try await client.download("/v1/assets/\(entry.hash)") { part in
                    hasher.update(part)
                    size += Int64(part.count)
                }
            } catch let refusal as Refusal where refusal.kind == .notFound {
                return "missing"
            }
            if let expected = entry.size, expected != size {
                return "size mismatch: \(size) bytes instead of \(expected)"
            }
            let actual = hasher.finalize()
            return actual == entry.hash ? "valid" : "hash mismatch: its content hashes to \(actual)"
        }
    }
}

/// The hash and size of a file on this machine.
enum FileHash {
    static func of(_ file: String) throws -> (ContentHash, Int64) {
        guard let handle = FileHandle(forReadingAtPath: file) else {
            throw Refusal(
                .invalid, code: "file.unreadable", reason: "\(file) cannot be read", remedy: "check its path and mode")
        }
        defer { try? handle.close() }
        var hasher = ContentHasher()
        var size: Int64 = 0
        while let data = try handle.read(upToCount: 1 << 20), !data.isEmpty {
            hasher.update(Array(data))
            size += Int64(data.count)
        }
        return (hasher.finalize(), size)
    }
}
