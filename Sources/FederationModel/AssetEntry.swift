/// One file of a world: where it stands in the world's folder, and what it must contain.
public struct AssetEntry: Hashable, Sendable, Codable {
    /// Relative path with `/` between parts; see ``isValidPath(_:)``.
    public let path: String
    public let hash: ContentHash
    /// In bytes, 0 to ``Limits/assetBytes``.
    public let size: Int64
    /// An Internet media type such as `image/png`.
    public let mediaType: String

    /// nil when the path, the size or the media type is out of bounds.
    public init?(path: String, hash: ContentHash, size: Int64, mediaType: String) {
        guard Self.isValidPath(path), (0...Limits.assetBytes).contains(size), Self.isValidMediaType(mediaType) else {
            return nil
        }
        self.path = path
        self.hash = hash
        self.size = size
        self.mediaType = mediaType
    }

    /// Whether `path` can be written below a folder without leaving it: 1 to ``Limits/pathBytes`` bytes, no part that
    /// is empty, `.` or `..`, no backslash, no control or format character.
    public static func isValidPath(_ path: String) -> Bool {
        guard (1...Limits.pathBytes).contains(path.utf8.count),
            path.unicodeScalars.allSatisfy({ $0.isPrintable && $0 != "\\" })
        else { return false }
        return path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
            !$0.isEmpty && $0 != "." && $0 != ".."
        }
    }

    /// `type/subtype` of RFC 6838 §4.2 names, at most 127 bytes.
    public static func isValidMediaType(_ type: String) -> Bool {
        let parts = type.utf8.split(separator: 0x2F, omittingEmptySubsequences: false)
        guard parts.count == 2, type.utf8.count <= 127 else { return false }
        return parts.allSatisfy { part in
            !part.isEmpty
                && part.allSatisfy { byte in
                    (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte)
                        || [0x21, 0x23, 0x24, 0x26, 0x2D, 0x5E, 0x5F, 0x2E, 0x2B].contains(byte)
                }
        }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let entry = AssetEntry(
            path: try container.decode(String.self, forKey: .path),
            hash: try container.decode(ContentHash.self, forKey: .hash),
            size: try container.decode(Int64.self, forKey: .size),
            mediaType: try container.decode(String.self, forKey: .mediaType))
        guard let entry else {
            throw DecodingError.dataCorruptedError(
                forKey: .path, in: container, debugDescription: "path, size or media type out of bounds")
        }
        self = entry
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(path, forKey: .path)
        try container.encode(hash, forKey: .hash)
        try container.encode(size, forKey: .size)
        try container.encode(mediaType, forKey: .mediaType)
    }

    /// The names in a manifest's JSON.
    private enum CodingKeys: String, CodingKey {
        case path
        case hash = "sha256"
        case size
        case mediaType = "type"
    }
}
