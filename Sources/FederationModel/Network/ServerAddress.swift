/// How a person names a server whose card is to be fetched: `beta.example.org`, `host:port`, an `aether://` URL, or
/// `https://`, `http://`, `wss://`, `ws://` and a host.
///
/// Where the scheme says nothing of TLS, TLS is tried first. A scheme's own port counts where none is named: 443 for
/// `https`, 80 for `http`, ``AetherURL/defaultPort`` for the federation's own schemes; a bare name is looked for on 443
/// and then on ``AetherURL/defaultPort``. What looks like another name than it is, is refused: only lower-case ASCII,
/// international names in their `xn--` form, no final dot.
public struct ServerAddress: Hashable, Sendable {
    /// Where the card is looked for, in this order; never empty.
    public let candidates: [Endpoint]

    /// Why a text names no server.
    public enum Failure: Error, Hashable, Sendable {
        case empty
        case tooLong(Int)
        /// A letter of another script, or one that is not a letter; the same picture may stand for several names.
        case notASCII(Unicode.Scalar)
        /// An upper-case letter: `I` and `l`, `O` and `0` look the same.
        case upperCase(String)
        /// A control character or a space.
        case unprintable
        /// A dot at the end of the host: the same host to DNS, another one to certificates.
        case finalDot
        case unknownScheme(String)
        case userInformation
        /// Something behind the host that is not the way to the card.
        case path(String)
        case invalidHost(String)
    }

    public static func parse(_ text: String) throws(Failure) -> ServerAddress {
        guard !text.isEmpty else { throw .empty }
        guard text.utf8.count <= Limits.urlBytes else { throw .tooLong(text.utf8.count) }
        for scalar in text.unicodeScalars {
            guard scalar.isASCII else { throw .notASCII(scalar) }
            guard (0x21...0x7E).contains(scalar.value) else { throw .unprintable }
        }
        guard !text.contains(where: \.isUppercase) else { throw .upperCase(text.lowercased()) }
        guard let separator = text.firstRange(of: "://") else {
            let (host, port) = try authority(text[...])
            if let port { return try make(host, [(true, port), (false, port)]) }
            let own = AetherURL.defaultPort
            return try make(host, [(true, 443), (true, own), (false, own)])
        }
        let rest = text[separator.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        let (host, port) = try authority(rest[..<end])
        let tail = String(rest[end...])
        switch text[..<separator.lowerBound] {
        case "aether":
            // Also the address of a place: it is on that server.
            guard tail.isEmpty || tail == "/" || AetherURL(text) != nil else { throw .path(tail) }
            let port = port ?? AetherURL.defaultPort
            return try make(host, [(true, port), (false, port)])
        case "ws": return try make(host, [(false, port ?? AetherURL.defaultPort)], tail)
        case "wss": return try make(host, [(true, port ?? AetherURL.defaultPort)], tail)
        case "http": return try make(host, [(false, port ?? 80)], tail)
        case "https": return try make(host, [(true, port ?? 443)], tail)
        default: throw .unknownScheme(String(text[..<separator.lowerBound]))
        }
    }

    /// The way to the card (RFC 8615); the only one that may stand behind a host.
    public static let wellKnown = "/.well-known/aether-federation"

    private static func authority(_ text: Substring) throws(Failure) -> (Host, UInt16?) {
        guard !text.contains("@") else { throw .userInformation }
        guard !text.contains("/"), !text.contains("?"), !text.contains("#") else { throw .path(String(text)) }
        let host = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)[0]
        guard !host.hasSuffix(".") else { throw .finalDot }
        guard let authority = Authority(text) else { throw .invalidHost(String(text)) }
        return (authority.host, authority.port)
    }

    private static func make(
        _ host: Host, _ ways: [(isSecure: Bool, port: UInt16)], _ tail: String = ""
    ) throws(Failure) -> ServerAddress {
        guard ["", "/", wellKnown].contains(tail) else { throw .path(tail) }
        return ServerAddress(
            candidates: ways.compactMap { Endpoint(isSecure: $0.isSecure, host: host, port: $0.port) })
    }
}

extension ServerAddress.Failure {
    /// The refusal as a person and a program read it.
    public var refusal: Refusal {
        let (reason, remedy): (String, String) =
            switch self {
            case .empty: ("an empty text names no server", Self.forms)
            case .tooLong(let bytes): ("the address has \(bytes) bytes; \(Limits.urlBytes) is the most", Self.forms)
            case .notASCII(let scalar):
                (
                    "the address contains U+\(Self.hex(scalar)), which is not a letter of ASCII and may only look like one",
                    "write an international name in its xn-- form, as its operator spells it"
                )
            case .upperCase(let lower):
                (
                    "the address has capital letters, which look like others (I and l, O and 0)",
                    "if it is the one, write \(lower.prefix(120))"
                )
            case .unprintable: ("the address contains a space or a control character", Self.forms)
            case .finalDot: ("the host ends in a dot", "write it without the dot")
            case .unknownScheme(let scheme): ("'\(scheme.prefix(40))://' is not a way to a server", Self.forms)
            case .userInformation:
                ("the address has a user in it, and what stands before @ looks like the host", Self.forms)
            case .path(let path): ("'\(path.prefix(80))' behind the host leads to no card", Self.forms)
            case .invalidHost(let host):
                ("'\(host.prefix(80))' is not a host: a DNS name, an IPv4 address or [an IPv6 address]", Self.forms)
            }
        return Refusal(.invalid, code: "address.invalid", reason: reason, remedy: remedy)
    }

    private static let forms = "use beta.example.org, host:port, aether://host, wss://host:port or https://host"

    private static func hex(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
