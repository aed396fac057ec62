import FederationCrypto
public import FederationModel

/// The canonical text of a manifest: JSON (RFC 8259) in UTF-8 without white space, keys sorted, files sorted by the
/// bytes of their paths, `"` and `\` escaped by a backslash and nothing else escaped. One manifest has one text, so one
/// hash.
///
/// `{"files":[{"path":"…","sha256":"…","size":0,"type":"…"},…],"name":"…","version":1,"world":"…"}`
extension WorldManifest {
    /// At most ``Limits/manifestBytes`` bytes.
    public var canonicalBytes: [UInt8] {
        var writer = ManifestWriter()
        writer.literal(ManifestText.start)
        for (index, entry) in entries.enumerated() {
            if index > 0 { writer.literal(",") }
            writer.literal(ManifestText.path)
            writer.text(entry.path)
            writer.literal(ManifestText.hash)
            writer.literal(entry.hash.description)
            writer.literal(ManifestText.size)
            writer.literal(String(entry.size))
            writer.literal(ManifestText.type)
            writer.text(entry.mediaType)
            writer.literal(ManifestText.endOfFile)
        }
        writer.literal(ManifestText.name)
        writer.text(name)
        writer.literal(ManifestText.version)
        writer.literal(ManifestText.world)
        writer.literal(world.rawValue)
        writer.literal(ManifestText.end)
        return writer.bytes
    }

    /// The hash of ``canonicalBytes``: the world's address.
    public var contentHash: ContentHash { ContentHash.of(canonicalBytes) }

    /// Reads a canonical text, and no other. The size is checked first, and every bound before anything is kept.
    public init(canonicalBytes bytes: [UInt8]) throws(ManifestFailure) {
        guard bytes.count <= Limits.manifestBytes else { throw .tooLarge(bytes.count) }
        var reader = ManifestReader(bytes)
        let entries = try reader.entries()
        let name = try reader.name()
        let world = try reader.world()
        do throws(WorldManifest.Failure) {
            try self.init(world: world, name: name, entries: entries)
        } catch {
            throw .refused(error)
        }
        guard self.entries == entries else { throw .unsorted }
    }
}

/// Why bytes are not a manifest.
public enum ManifestFailure: Error, Hashable, Sendable {
    /// More than ``Limits/manifestBytes``.
    case tooLarge(Int)
    /// Not the canonical text; at which byte.
    case syntax(at: Int)
    /// A version that this one does not read.
    case unsupportedVersion
    /// The files are not sorted by path.
    case unsorted
    /// What the manifest says is not allowed.
    case refused(WorldManifest.Failure)

    /// The failure for people and programs.
    public var refusal: Refusal {
        let reason =
            switch self {
            case .tooLarge(let count): "the manifest has \(count) bytes, over \(Limits.manifestBytes)"
            case .syntax(let position): "the manifest is not in canonical form at byte \(position)"
            case .unsupportedVersion: "the manifest is of a version that is not known here"
            case .unsorted: "the manifest's files are not sorted by path"
            case .refused(let failure): "the manifest is refused: \(failure.reason)"
            }
        return Refusal(
            .invalid, code: "manifest.invalid", reason: reason,
            remedy: "the world's operator publishes the world again: aether worlds add", step: .verification)
    }
}

extension WorldManifest.Failure {
    /// One line: what is wrong.
    public var reason: String {
        switch self {
        case .invalidName: "the world's name is empty, too long or not printable"
        case .tooManyEntries(let count): "\(count) files are more than \(Limits.manifestEntries)"
        case .duplicatePath(let path): "the path \(path) stands there twice"
        case .pathIsFolder(let path): "the path \(path) is a file and a folder"
        case .tooLarge(let size): "\(size) bytes of files are more than \(Limits.worldBytes)"
        case .manifestTooLarge: "the paths are so long that the manifest is over \(Limits.manifestBytes) bytes"
        }
    }

    /// The failure for people and programs.
    public var refusal: Refusal {
        Refusal(
            .invalid, code: "manifest.invalid", reason: reason, remedy: "change the world's files and publish it again",
            step: .verification)
    }
}

/// What stands between the values.
private enum ManifestText {
    static let start = #"{"files":["#
    static let path = #"{"path":""#
    static let hash = #"","sha256":""#
    static let size = #"","size":"#
    static let type = #","type":""#
    static let endOfFile = #""}"#
    static let name = #"],"name":""#
    static let version = #"","version":1"#
    static let versionKey = #"","version":"#
    static let world = #","world":""#
    static let end = #""}"#
}

private struct ManifestWriter {
    private(set) var bytes: [UInt8] = []

    mutating func literal(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    /// Names and paths contain no control characters.
    mutating func text(_ text: String) {
        for byte in text.utf8 {
            if byte == 0x22 || byte == 0x5C { bytes.append(0x5C) }
            bytes.append(byte)
        }
    }
}

private struct ManifestReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func entries() throws(ManifestFailure) -> [AssetEntry] {
        try expect(ManifestText.start)
        var entries: [AssetEntry] = []
        guard bytes[position...].first == 0x7B else { return entries }
        while true {
            guard entries.count < Limits.manifestEntries else { throw .refused(.tooManyEntries(entries.count + 1)) }
            entries.append(try entry())
            guard bytes[position...].first == 0x2C else { return entries }
            position += 1
        }
    }

    private mutating func entry() throws(ManifestFailure) -> AssetEntry {
        let start = position
        try expect(ManifestText.path)
        let path = try text(atMost: Limits.pathBytes)
        try expect(ManifestText.hash)
        guard let hash = ContentHash(try text(atMost: 64)) else { throw .syntax(at: position) }
        try expect(ManifestText.size)
        let size = try integer()
        try expect(ManifestText.type)
        let type = try text(atMost: 127)
        try expect(ManifestText.endOfFile)
        guard let entry = AssetEntry(path: path, hash: hash, size: size, mediaType: type) else {
            throw .syntax(at: start)
        }
        return entry
    }

    mutating func name() throws(ManifestFailure) -> String {
        try expect(ManifestText.name)
        return try text(atMost: Limits.nameBytes)
    }

    mutating func world() throws(ManifestFailure) -> WorldID {
        let start = position
        try expect(ManifestText.versionKey)
        position = start
        guard starts(with: ManifestText.version + ManifestText.world) else { throw .unsupportedVersion }
        try expect(ManifestText.version + ManifestText.world)
        guard let world = WorldID(rawValue: try text(atMost: Limits.identifierBytes)) else {
            throw .syntax(at: position)
        }
        try expect(ManifestText.end)
        guard position == bytes.count else { throw .syntax(at: position) }
        return world
    }

    private func starts(with literal: String) -> Bool {
        bytes[position...].starts(with: literal.utf8)
    }

    private mutating func expect(_ literal: String) throws(ManifestFailure) {
        guard starts(with: literal) else { throw .syntax(at: position) }
        position += literal.utf8.count
    }

    /// Up to the closing quotation mark, which stays.
    private mutating func text(atMost limit: Int) throws(ManifestFailure) -> String {
        let start = position
        var text: [UInt8] = []
        while position < bytes.count, bytes[position] != 0x22 {
            if bytes[position] == 0x5C {
                position += 1
                guard position < bytes.count, bytes[position] == 0x22 || bytes[position] == 0x5C else {
                    throw .syntax(at: start)
                }
            }
            guard text.count < limit else { throw .syntax(at: start) }
            text.append(bytes[position])
            position += 1
        }
        guard position < bytes.count, let text = String(validating: text, as: UTF8.self) else {
            throw .syntax(at: start)
        }
        return text
    }

    /// Digits without a leading zero.
    private mutating func integer() throws(ManifestFailure) -> Int64 {
        let start = position
        while position < bytes.count, (0x30...0x39).contains(bytes[position]), position - start < 12 { position += 1 }
        let digits = bytes[start..<position]
        guard let value = Int64(String(decoding: digits, as: UTF8.self)), digits.count == 1 || digits.first != 0x30
        else { throw .syntax(at: start) }
        return value
    }
}
