extension AetherURL {
    /// Why a text is not an ``AetherURL``. The texts that a failure carries are printable and bounded by the input.
    public enum Failure: Error, Hashable, Sendable {
        /// More than ``Limits/urlBytes`` bytes; the count is told.
        case tooLong(Int)
        /// A control character, in clear or percent-encoded.
        case controlCharacter
        /// A character that a URL does not contain unencoded, such as a space, `\` or a letter beyond ASCII.
        case forbiddenCharacter
        /// Not `aether://`.
        case wrongScheme
        /// `user@` or `user:password@`.
        case userInformation
        /// `#` and what follows it.
        case fragment
        case invalidHost
        /// Not a decimal number from 1 to 65535.
        case invalidPort
        /// A `%` without two hex digits, or one that does not decode to UTF-8.
        case invalidPercentEncoding
        case emptyWorld
        /// A slash after the world, and nothing after it.
        case emptyZone
        /// A part of the path that is `.` or `..`.
        case pathTraversal
        /// More than world and zone.
        case tooManyParts
        case invalidWorld(String)
        case invalidZone(String)
        /// A `?` or `&` without `key=value` after it.
        case emptyQuery
        /// A key other than `spawn` and `instance`.
        case unknownKey(String)
        case duplicateKey(String)
        case invalidSpawn(String)
        case invalidInstance(String)
    }

    /// The URL that `text` stands for.
    public static func parse(_ text: String) throws(Failure) -> AetherURL {
        guard text.utf8.count <= Limits.urlBytes else { throw .tooLong(text.utf8.count) }
        try checkCharacters(text)
        let scheme = "aether://"
        guard text.prefix(scheme.count).lowercased() == scheme else { throw .wrongScheme }
        guard !text.contains("#") else { throw .fragment }
        let afterScheme = text.dropFirst(scheme.count)
        let parts = afterScheme.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let hierarchy = parts[0]
        let slash = hierarchy.firstIndex(of: "/") ?? hierarchy.endIndex
        let (host, port) = try authority(hierarchy[..<slash])
        let (world, zone) = try path(hierarchy[slash...])
        let (spawn, instance) = try parts.count == 2 ? query(parts[1]) : (nil, nil)
        guard
            let url = AetherURL(
                host: host, port: port, world: world, zone: zone, spawn: spawn, instance: instance)
        else { throw .invalidPort }
        return url
    }

    private static func checkCharacters(_ text: String) throws(Failure) {
        for byte in text.utf8 {
            switch byte {
            case 0..<0x20, 0x7F: throw .controlCharacter
            // Space " < > \ ^ ` { | } are in no production of RFC 3986.
            case 0x20, 0x22, 0x3C, 0x3E, 0x5C, 0x5E, 0x60, 0x7B, 0x7C, 0x7D, 0x80...: throw .forbiddenCharacter
            default: break
            }
        }
    }

    private static func authority(_ text: Substring) throws(Failure) -> (Host, UInt16) {
        guard !text.contains("@") else { throw .userInformation }
        let hostEnd =
            text.first == "[" ? text.firstIndex(of: "]").map { text.index(after: $0) } : text.firstIndex(of: ":")
        guard let host = Host(String(text[..<(hostEnd ?? text.endIndex)])) else { throw .invalidHost }
        guard let hostEnd, hostEnd < text.endIndex else { return (host, defaultPort) }
        guard let authority = Authority(text), let port = authority.port else { throw .invalidPort }
        return (host, port)
    }

    /// `text` is empty or begins with a slash.
    private static func path(_ text: Substring) throws(Failure) -> (WorldID, ZoneID?) {
        var parts: [String] = []
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            let decoded = try percentDecoded(part)
            guard decoded != ".", decoded != ".." else { throw .pathTraversal }
            parts.append(decoded)
        }
        guard let first = parts.first, !first.isEmpty else { throw .emptyWorld }
        guard parts.count <= 2 else { throw .tooManyParts }
        guard let world = WorldID(rawValue: first) else { throw .invalidWorld(first) }
        guard parts.count == 2 else { return (world, nil) }
        guard !parts[1].isEmpty else { throw .emptyZone }
        guard let zone = ZoneID(rawValue: parts[1]) else { throw .invalidZone(parts[1]) }
        return (world, zone)
    }

    private static func query(_ text: Substring) throws(Failure) -> (SpawnPoint?, InstanceID?) {
        var spawn: SpawnPoint?
        var instance: InstanceID?
        for pair in text.split(separator: "&", omittingEmptySubsequences: false) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard !pair.isEmpty else { throw .emptyQuery }
            let key = try percentDecoded(parts[0])
            let value = parts.count == 2 ? try percentDecoded(parts[1]) : ""
            switch key {
            case "spawn":
                guard spawn == nil else { throw .duplicateKey(key) }
                guard let point = SpawnPoint(value) else { throw .invalidSpawn(value) }
                spawn = point
            case "instance":
                guard instance == nil else { throw .duplicateKey(key) }
                guard let id = InstanceID(rawValue: value) else { throw .invalidInstance(value) }
                instance = id
            default:
                throw .unknownKey(key)
            }
        }
        return (spawn, instance)
    }

    /// Decodes each `%XX` once (RFC 3986 §2.4): what a decoded `%25` is followed by is not looked at again.
    private static func percentDecoded(_ text: Substring) throws(Failure) -> String {
        guard text.utf8.contains(0x25) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == 0x25 else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
                throw .invalidPercentEncoding
            }
            bytes.append(high << 4 | low)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else { throw .invalidPercentEncoding }
        guard decoded.unicodeScalars.allSatisfy(\.isPrintable) else { throw .controlCharacter }
        return decoded
    }

    /// Either case, unlike everywhere else: RFC 3986 §2.1 makes them equivalent.
    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x41 + 10
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }
}

extension AetherURL.Failure {
    /// One line: why the text was refused.
    public var reason: String {
        switch self {
        case .tooLong(let count): "the URL has \(count) bytes, more than \(Limits.urlBytes)"
        case .controlCharacter: "the URL contains a control character"
        case .forbiddenCharacter: "the URL contains a character that must be percent-encoded"
        case .wrongScheme: "the URL does not begin with aether://"
        case .userInformation: "the URL contains a user name; the part before @ does not belong in it"
        case .fragment: "the URL contains a # part"
        case .invalidHost: "the host is not a DNS name, an IPv4 address or an IPv6 address in brackets"
        case .invalidPort: "the port is not a number from 1 to 65535"
        case .invalidPercentEncoding: "a % in the URL is not followed by two hex digits that make UTF-8 text"
        case .emptyWorld: "the URL names no world"
        case .emptyZone: "the URL ends in a slash without a zone after it"
        case .pathTraversal: "the path contains . or .."
        case .tooManyParts: "the path has more parts than world and zone"
        case .invalidWorld(let text): "'\(text)' is not a world id (\(WorldID.grammar))"
        case .invalidZone(let text): "'\(text)' is not a zone id (\(ZoneID.grammar))"
        case .emptyQuery: "the URL has a ? or & without key=value after it"
        case .unknownKey(let key): "the query key '\(key)' is unknown; spawn and instance are known"
        case .duplicateKey(let key): "the query key '\(key)' stands there twice"
        case .invalidSpawn(let text): "the spawn point '\(text)' is not x,y,z: three decimal numbers"
        case .invalidInstance(let text): "'\(text)' is not an instance id (\(InstanceID.grammar))"
        }
    }

    /// The refusal as a person and a program read it.
    public var refusal: Refusal {
        Refusal(
            .invalid, code: "url.invalid", reason: reason,
            remedy: "write aether://host[:port]/world[/zone][?spawn=x,y,z][&instance=id]")
    }
}
