public import FederationModel

/// One request to another server's HTTP API. There is nothing of this server in it: no credentials, no cookies.
public struct FetchRequest: Hashable, Sendable {
    public enum Method: String, Hashable, Sendable {
        case get = "GET"
        case post = "POST"
        case delete = "DELETE"
    }

    public static let cardPath = ServerAddress.wellKnown

    /// Scheme, host and port.
    public let origin: Endpoint
    /// With the query.
    public let path: String
    public var method = Method.get
    public var body: [UInt8] = []
    public var contentType: String?
    public var accept = "application/json"
    /// Bytes of the answer.
    public var maximumBytes = 64 << 10
    /// For everything; nil for what the fetcher gives every request.
    public var timeLimit: Duration?
    /// Whether an operator wrote this address into the configuration: then it may be a private one. Where a redirect leads is
    /// nobody's choice, and judged by the policy again.
    public var isOperatorsChoice = false
    /// Where the operator's deny list lets nothing be fetched, neither here nor where a redirect leads.
    public var denied: [AddressRange] = []
    /// Whether a stranger has brought it about: then few reach one address.
    public var isProvoked = false
    /// The network of the stranger, where it is known: one network gets no more than its share of what all strangers may
    /// bring about.
    public var caller: AddressRange?
    /// Whether a redirect is followed; otherwise it is refused. What answers behind one is not at the address that was asked.
    public var followsRedirects = true

    /// nil for a path that is not one of the federation's own: the card, inquiries, and what registries answer.
    public init?(_ origin: Endpoint, _ path: String) {
        guard Self.isAllowed(path) else { return nil }
        self.origin = origin
        self.path = path
    }

    /// The request for a server's own card.
    public static func card(of origin: Endpoint) -> FetchRequest {
        var request = FetchRequest(origin)
        request.accept = "application/jose"
        return request
    }

    private init(_ origin: Endpoint) {
        self.origin = origin
        path = Self.cardPath
    }

    /// Where inquiries are taken.
    public static let inquiryPath = "/v1/inquiries"

    private static let prefixes = ["/v1/servers", "/v1/log", "/v1/registries"]

    private static func isAllowed(_ path: String) -> Bool {
        guard path.utf8.count <= Limits.urlBytes, path.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x23 })
        else { return false }
        let resource = path.prefix { $0 != "?" }
        guard !resource.contains(".."), !resource.contains("//"), !resource.contains("%") else { return false }
        if path == cardPath || path == inquiryPath { return true }
        return prefixes.contains { resource == $0 || resource.hasPrefix($0 + "/") }
    }

    /// Where a redirect leads: the same request elsewhere; nil when it may not be followed.
    ///
    /// - Parameter location: an absolute `http`/`https` URL, or a path on the same host (RFC 9110 §10.2.2).
    func redirected(to location: String) -> FetchRequest? {
        guard method == .get, location.utf8.count <= Limits.urlBytes else { return nil }
        var next = self
        if location.hasPrefix("/"), !location.hasPrefix("//") {
            guard let there = FetchRequest(origin, location) else { return nil }
            next = there
        } else {
            guard let url = Self.split(location), let there = FetchRequest(url.origin, url.path),
                there.origin.isSecure || !origin.isSecure
            else { return nil }
            next = there
        }
        next.accept = accept
        next.maximumBytes = maximumBytes
        next.isProvoked = isProvoked
        next.caller = caller
        next.denied = denied
        next.isOperatorsChoice = isOperatorsChoice && next.origin.host == origin.host
        return next
    }

    private static func split(_ url: String) -> (origin: Endpoint, path: String)? {
        for (scheme, socket, port) in [("http://", "ws://", 80), ("https://", "wss://", 443)]
        where url.hasPrefix(scheme) {
            let rest = url.dropFirst(scheme.count)
            let slash = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            let authority = rest[..<slash]
            let isPortNamed = authority.hasSuffix("]") ? false : authority.split(separator: "]").last?.contains(":")
            let text = "\(socket)\(authority)" + (isPortNamed == true ? "" : ":\(port)")
            guard let origin = Endpoint(text) else { return nil }
            return (origin, slash == rest.endIndex ? "/" : String(rest[slash...]))
        }
        return nil
    }
}

/// What a server answered.
public struct FetchedDocument: Hashable, Sendable {
    /// 2xx, or what the server refused with.
    public let status: Int
    public let body: [UInt8]
    /// In lower case; of each name the first.
    public let headers: [String: String]
    /// Who answered, after redirects.
    public let origin: Endpoint
    /// The address that the answer came from: one that was judged.
    public let address: NetworkAddress
}
