import FederationCore
import FederationCrypto
import FederationModel
import TestKit
import Testing

@Suite("The canonical text of a manifest")
struct ManifestTextTests {
    static let hashText = String(repeating: "0f", count: 32)

    static func manifest(_ paths: [String], name: String = "Plaza") throws -> WorldManifest {
        let hash = try #require(ContentHash(hashText))
        let entries = try paths.map {
            try #require(AssetEntry(path: $0, hash: hash, size: Int64($0.utf8.count), mediaType: "image/png"))
        }
        return try WorldManifest(world: WorldID(unchecked: "plaza"), name: name, entries: entries)
    }

    static let worlds: [([String], String)] = [
        ([], "Empty"), (["a"], "One"), (["b", "a/b", "a-b", "広場.png"], #"Ada's "Plaza" \ 広場"#),
        ([#"say "hi".txt"#], "Q"), (["\u{E9}", "f"], "é"),
    ]

    @Test("the text reads back as the same manifest", arguments: worlds)
    func roundTrip(_ paths: [String], _ name: String) throws {
        let manifest = try Self.manifest(paths, name: name)
        let bytes = manifest.canonicalBytes
        #expect(try WorldManifest(canonicalBytes: bytes) == manifest)
        #expect(manifest.contentHash == ContentHash.of(bytes))
    }

    @Test("the text is what a JSON serializer makes of it", arguments: worlds)
    func isJSON(_ paths: [String], _ name: String) throws {
        let manifest = try Self.manifest(paths, name: name)
        let files = manifest.entries.map { entry in
            JSONValue.object([
                "path": .string(entry.path), "sha256": .string(entry.hash.description), "size": .integer(entry.size),
                "type": .string(entry.mediaType),
            ])
        }
        let json = JSONValue.object([
            "files": .array(files), "name": .string(name), "version": .integer(1), "world": .string("plaza"),
        ])
        #expect(json.serialized() == manifest.canonicalBytes)
        #expect(try JSONValue.parse(manifest.canonicalBytes) == json)
    }

    static let entry = #"{"path":"a","sha256":"\#(hashText)","size":1,"type":"a/b"}"#

    static func text(_ files: String, _ tail: String = #""name":"P","version":1,"world":"w"}"#) -> String {
        #"{"files":[\#(files)],\#(tail)"#
    }

    @Test("the smallest manifest is read")
    func smallest() throws {
        #expect(try WorldManifest(canonicalBytes: Array(Self.text("").utf8)).entries.isEmpty)
        #expect(try WorldManifest(canonicalBytes: Array(Self.text(Self.entry).utf8)).entries.count == 1)
    }

    static let refused: [String] = [
        "", "{", "null", "[]", " " + text(""), text("") + "\n", text("") + text(""),
        text("", #""name":"P", "version":1,"world":"w"}"#), text("", #""version":1,"name":"P","world":"w"}"#),
        text("", #""name":"P","version":1}"#), text("", #""name":"P","version":1,"world":"w","x":1}"#),
        text("", #""name":"P","version":1,"world":"W"}"#), text("", #""name":"","version":1,"world":"w"}"#),
        text("", #""name":"\u0050","version":1,"world":"w"}"#), text("", #""name":"P\n","version":1,"world":"w"}"#),
        text("", "\"name\":\"P\u{1B}\",\"version\":1,\"world\":\"w\"}"),
        text(entry + ","), text("," + entry), text(entry + entry), text(entry + "," + entry),
        text(entry.replacing(#""size":1"#, with: #""size":01"#)),
        text(entry.replacing(#""size":1"#, with: #""size":-1"#)),
        text(entry.replacing(#""size":1"#, with: #""size":1.0"#)),
        text(entry.replacing(#""size":1"#, with: #""size":"#)),
        text(entry.replacing(#""size":1"#, with: #""size":99999999999"#)),
        text(entry.replacing(#""size":1"#, with: #""size":99999999999999999999999"#)),
        text(entry.replacing(hashText, with: hashText.uppercased())), text(entry.replacing(hashText, with: "00")),
        text(entry.replacing(#""a""#, with: #""../a""#)), text(entry.replacing(#""a""#, with: #""""#)),
        text(entry.replacing("a/b", with: "ab")), text(entry.replacing(#""a""#, with: #""\/a""#)),
        text(entry.replacing(#""a""#, with: "\"" + String(repeating: "a", count: 1_025) + "\"")),
        text(entry.replacing(#""a""#, with: #""b""#) + "," + entry),
    ]

    @Test("any other text is refused", arguments: refused)
    func refusal(_ text: String) {
        do throws(ManifestFailure) {
            _ = try WorldManifest(canonicalBytes: Array(text.utf8))
            Issue.record("accepted")
        } catch {
            #expect(Refusal.isCode(error.refusal.code) && error.refusal.step == .verification)
        }
    }

    @Test("refusals say what was wrong")
    func reasons() throws {
        func failure(_ text: String) -> ManifestFailure? {
            do throws(ManifestFailure) {
                _ = try WorldManifest(canonicalBytes: Array(text.utf8))
                return nil
            } catch {
                return error
            }
        }
        let b = Self.entry.replacing(#""a""#, with: #""b""#)
        #expect(failure(Self.text(b + "," + Self.entry)) == .unsorted)
        #expect(failure(Self.text(Self.entry + "," + Self.entry)) == .refused(.duplicatePath("a")))
        #expect(failure(Self.text("", #""name":"P","version":2,"world":"w"}"#)) == .unsupportedVersion)
        #expect(failure(Self.text("", #""name":"P","version":12,"world":"w"}"#)) == .unsupportedVersion)
        #expect(failure("{") == .syntax(at: 0))
        let large = [UInt8](repeating: 0x20, count: Limits.manifestBytes + 1)
        #expect(throws: ManifestFailure.tooLarge(large.count)) { try WorldManifest(canonicalBytes: large) }
    }

    @Test("a text that is cut or changed is refused or is itself the canonical text of what it says")
    func mutation() throws {
        let bytes = try Self.manifest(["b", "a/b", #"q"q"#]).canonicalBytes
        for length in bytes.indices {
            #expect(throws: ManifestFailure.self) { try WorldManifest(canonicalBytes: Array(bytes.prefix(length))) }
        }
        var random = SeededGenerator(seed: 9)
        var accepted = 0
        for _ in 0..<20_000 {
            var changed = bytes
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(
                    in: 0x20...0x7E, using: &random)
            }
            guard let manifest = try? WorldManifest(canonicalBytes: changed) else { continue }
            accepted += 1
            #expect(manifest.canonicalBytes == changed)
        }
        #expect(accepted > 100)
    }
}
