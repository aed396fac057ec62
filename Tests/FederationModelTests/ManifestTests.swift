import FederationModel
import Testing

@Suite("WorldManifest")
struct ManifestTests {
    static let paths: [(String, Bool)] = [
        ("a", true), ("a/b/c.png", true), ("scene.json", true), ("ä/広場.png", true), ("...", true), (".hidden", true),
        ("a b", true), (#"say "hi""#, true), (String(repeating: "a", count: 1_024), true),
        (String(repeating: "a", count: 1_025), false), ("", false), (".", false), ("..", false), ("/a", false),
        ("a/", false),
        ("a//b", false), ("a/./b", false), ("a/../b", false), ("../a", false), (#"a\b"#, false), ("a\u{0}", false),
        ("a\nb", false), ("a\u{7F}", false), ("a\u{9B}2J", false), ("a\u{202E}gnp.exe", false),
    ]

    @Test("an asset's path cannot leave its folder or play tricks on a terminal", arguments: paths)
    func path(_ text: String, _ isValid: Bool) {
        #expect(AssetEntry.isValidPath(text) == isValid)
    }

    static let mediaTypes: [(String, Bool)] = [
        ("image/png", true), ("application/vnd.a+json", true), ("a/b", true), ("image", false), ("image/", false),
        ("/png", false), ("a/b/c", false), ("a b/c", false), ("text/plain; charset=utf-8", false), ("", false),
        (String(repeating: "a", count: 63) + "/" + String(repeating: "b", count: 63), true),
        (String(repeating: "a", count: 63) + "/" + String(repeating: "b", count: 64), false),
    ]

    @Test("a media type is type/subtype", arguments: mediaTypes)
    func mediaType(_ text: String, _ isValid: Bool) {
        #expect(AssetEntry.isValidMediaType(text) == isValid)
    }

    @Test("an asset's size has bounds", arguments: [(-1, false), (0, true), (4 << 30, true), (4 << 30 + 1, false)])
    func size(_ size: Int64, _ isValid: Bool) throws {
        #expect((AssetEntry(path: "a", hash: try Self.hash(), size: size, mediaType: "a/b") != nil) == isValid)
    }

    @Test("entries are sorted by the bytes of their paths")
    func order() throws {
        let manifest = try Self.manifest(["b", "a/b", "a-b", "\u{FB01}", "\u{1F600}", "Z"])
        #expect(manifest.entries.map(\.path) == ["Z", "a-b", "a/b", "b", "\u{FB01}", "\u{1F600}"])
    }

    @Test("the same path twice is refused, however it is composed")
    func duplicates() throws {
        #expect(throws: WorldManifest.Failure.duplicatePath("a")) { try Self.manifest(["a", "b", "a"]) }
        #expect(throws: WorldManifest.Failure.self) { try Self.manifest(["\u{E9}", "x", "e\u{301}"]) }
    }

    @Test("a path cannot be a file and a folder")
    func fileAndFolder() throws {
        #expect(throws: WorldManifest.Failure.pathIsFolder("a")) { try Self.manifest(["a", "a-b", "a/b"]) }
        #expect(throws: WorldManifest.Failure.pathIsFolder("x/y")) { try Self.manifest(["x/y", "x/y/z/deep"]) }
        #expect(throws: Never.self) { try Self.manifest(["a", "a-b", "ab/c", "b/a"]) }
    }

    @Test("a world has bounds")
    func bounds() throws {
        #expect(throws: WorldManifest.Failure.invalidName("")) { try Self.manifest(["a"], name: "") }
        let many = (0...Limits.manifestEntries).map { "f\($0)" }
        #expect(throws: WorldManifest.Failure.tooManyEntries(many.count)) { try Self.manifest(many) }
        #expect(throws: Never.self) { try Self.manifest(Array(many.dropLast())) }
        #expect(throws: WorldManifest.Failure.tooLarge(17 * Limits.assetBytes)) {
            try Self.manifest((0..<17).map { "f\($0)" }, size: Limits.assetBytes)
        }
        #expect(throws: Never.self) { try Self.manifest((0..<16).map { "f\($0)" }, size: Limits.assetBytes) }
        let long = (0..<40_000).map { "\($0)/" + String(repeating: "p", count: 900) }
        #expect(throws: WorldManifest.Failure.self) { try Self.manifest(long) }
    }

    static func hash() throws -> ContentHash {
        try #require(ContentHash(bytes: [UInt8](repeating: 7, count: 32)))
    }

    @discardableResult
    static func manifest(_ paths: [String], name: String = "Plaza", size: Int64 = 1) throws -> WorldManifest {
        let hash = try hash()
        let entries = try paths.map {
            try #require(AssetEntry(path: $0, hash: hash, size: size, mediaType: "text/plain"))
        }
        return try WorldManifest(world: try #require(WorldID(rawValue: "plaza")), name: name, entries: entries)
    }
}
