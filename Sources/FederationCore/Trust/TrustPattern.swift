import FederationCrypto
public import FederationModel

/// Whom a line of the allow or the deny list means.
public enum TrustPattern: Hashable, Sendable {
    /// Servers by id; `*` stands for any characters, also none and also dots.
    case id(String)
    case key(PublicKey)
    /// A key by what people compare; see ``PublicKey/fingerprint``.
    case fingerprint(String)
    /// Servers one of whose endpoints is an address in the block. A name is not resolved for it: see ``host(_:)``.
    case address(AddressRange)
    /// Servers one of whose endpoints has a host of this name; `*` as in ``id(_:)``.
    case host(String)

    /// Whether the server is meant.
    public func matches(_ server: ServerID, key: PublicKey?, endpoints: [Endpoint]) -> Bool {
        switch self {
        case .id(let pattern): Self.matches(server.rawValue, pattern)
        case .key(let own): own == key
        case .fingerprint(let fingerprint): key?.fingerprint == fingerprint
        case .address(let range): endpoints.contains { $0.host.address.map(range.contains) ?? false }
        case .host(let pattern): endpoints.contains { Self.matches($0.host.name, pattern) }
        }
    }

    /// Whether it is a key that is meant, and this one.
    func names(_ key: PublicKey) -> Bool {
        switch self {
        case .key(let own): own == key
        case .fingerprint(let fingerprint): key.fingerprint == fingerprint
        case .id, .address, .host: false
        }
    }

    /// Goes back to the last star at most, so the work is bounded by the product of the lengths.
    private static func matches(_ text: String, _ pattern: String) -> Bool {
        let text = Array(text.utf8)
        let pattern = Array(pattern.utf8)
        var (position, place) = (0, 0)
        var star: (place: Int, position: Int)?
        while position < text.count {
            if place < pattern.count, pattern[place] == 0x2A {
                star = (place, position)
                place += 1
            } else if place < pattern.count, pattern[place] == text[position] {
                position += 1
                place += 1
            } else if let last = star {
                star = (last.place, last.position + 1)
                (position, place) = (last.position + 1, last.place + 1)
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy { $0 == 0x2A }
    }
}

/// As it is written: `id:*.example-guild`, `key:` with 64 hex digits or a fingerprint, `address:10.0.0.0/8`, `host:*.example.org`.
///
/// The word before the colon may be left out for an address, a key and an id, which are tried in this order.
extension TrustPattern: LosslessStringConvertible {
    public init?(_ description: String) {
        guard description.utf8.count <= Limits.patternBytes else { return nil }
        let found: TrustPattern? =
            if let rest = Self.rest(of: description, after: "id:") {
                Self.id(checked: rest)
            } else if let rest = Self.rest(of: description, after: "key:") {
                Self.key(checked: rest)
            } else if let rest = Self.rest(of: description, after: "address:") {
                AddressRange(rest).map(TrustPattern.address)
            } else if let rest = Self.rest(of: description, after: "host:") {
                Self.host(checked: rest)
            } else {
                AddressRange(description).map(TrustPattern.address) ?? Self.key(checked: description)
                    ?? Self.id(checked: description)
            }
        guard let found else { return nil }
        self = found
    }

    public var description: String {
        switch self {
        case .id(let pattern): "id:\(pattern)"
        case .key(let key): "key:\(key)"
        case .fingerprint(let fingerprint): "key:\(fingerprint)"
        case .address(let range): "address:\(range)"
        case .host(let pattern): "host:\(pattern)"
        }
    }

    /// The grammar in one phrase, for error messages.
    public static let grammar =
        "id:NAME with * for any characters, key:FINGERPRINT or 64 hex digits, address:10.0.0.0/8, or host:NAME"

    private static func rest(of text: String, after prefix: String) -> String? {
        text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : nil
    }

    private static func id(checked text: String) -> TrustPattern? {
        guard (1...Limits.identifierBytes).contains(text.utf8.count), text.utf8.allSatisfy({ isName($0) || $0 == 0x5F })
        else { return nil }
        // Without a star it must be an id that somebody can have.
        return text.contains("*") || ServerID(text) != nil ? .id(text) : nil
    }

    private static func host(checked text: String) -> TrustPattern? {
        guard (1...Limits.hostBytes).contains(text.utf8.count), text.utf8.allSatisfy(isName) else { return nil }
        // An address would never match by its text alone: it can be written in several ways.
        guard text.contains("*") || Host(text).map({ $0.address == nil }) == true else { return nil }
        return .host(text)
    }

    private static func key(checked text: String) -> TrustPattern? {
        if let key = PublicKey(text) { return key.isAcceptable ? .key(key) : nil }
        let groups = text.utf8.split(separator: 0x2D, omittingEmptySubsequences: false)
        let isFingerprint =
            groups.count == 8
            && groups.allSatisfy { group in
                group.count == 4 && group.allSatisfy { (0x61...0x7A).contains($0) || (0x32...0x37).contains($0) }
            }
        return isFingerprint ? .fingerprint(text) : nil
    }

    private static func isName(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || [0x2A, 0x2D, 0x2E].contains(byte)
    }
}
