import FederationModel

/// Everything that is read from one line of text: URLs, endpoints, hosts, spawn points, ids, keys, hashes.
public enum AddressTarget: FuzzTarget {
    public static let name = "address"

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        guard let text = String(validating: input, as: UTF8.self) else { return false }
        let accepted = [
            try url(text), try endpoint(text), try host(text), try spawnPoint(text), try exact(PlayerID.self, text),
            try exact(ServerID.self, text), try exact(HandoffID.self, text), try exact(PublicKey.self, text),
            try exact(ContentHash.self, text),
        ]
        return accepted.contains(true)
    }

    private static func url(_ text: String) throws(Violation) -> Bool {
        let url: AetherURL
        do {
            url = try AetherURL.parse(text)
        } catch {
            let reason = error.refusal.description
            try require(reason.unicodeScalars.allSatisfy(\.isPrintable), "a refusal that is not printable: \(reason)")
            return false
        }
        let canonical = url.description
        try require(AetherURL(canonical) == url, "\(text) → \(canonical) is read as another URL")
        try require(AetherURL(canonical)?.description == canonical, "\(canonical) is not canonical")
        try require(canonical.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "\(canonical) is not plain")
        try require(!canonical.contains { $0 == "%" || $0.isUppercase }, "\(canonical) is not canonical")
        try require(canonical.utf8.count <= Limits.urlBytes, "\(canonical) is too long")
        return true
    }

    private static func endpoint(_ text: String) throws(Violation) -> Bool {
        guard let endpoint = Endpoint(text) else { return false }
        try require(endpoint.port != 0, "port 0 in \(text)")
        try require(Endpoint(endpoint.description) == endpoint, "\(text) → \(endpoint) is read as another endpoint")
        try require(
            Endpoint(isSecure: endpoint.isSecure, host: endpoint.host, port: endpoint.port) == endpoint,
            "\(text) has parts that make another endpoint")
        return true
    }

    private static func host(_ text: String) throws(Violation) -> Bool {
        guard let host = Host(text) else { return false }
        try require(Host(host.description) == host, "\(text) → \(host) is read as another host")
        try require(host.description.utf8.count <= Limits.hostBytes, "\(host) is too long")
        try require(host.description == text.lowercased(), "\(text) → \(host) differs in more than case")
        try require(host.name.contains(":") == host.isIPv6, "\(host) is not of its kind")
        return true
    }

    private static func spawnPoint(_ text: String) throws(Violation) -> Bool {
        guard let point = SpawnPoint(text) else { return false }
        try require(SpawnPoint(point.description) == point, "\(text) → \(point) is read as another point")
        for value in [point.x, point.y, point.z] {
            try require(value.isFinite && value.magnitude <= Limits.coordinate, "\(text) is out of bounds")
        }
        try require(point.description.utf8.allSatisfy { $0 < 0x80 && $0 != 0x65 }, "\(point) has an exponent")
        return true
    }

    /// A value that has one text only.
    private static func exact<Value: LosslessStringConvertible>(
        _ type: Value.Type, _ text: String
    ) throws(Violation) -> Bool {
        guard let value = Value(text) else { return false }
        try require(Array(value.description.utf8) == Array(text.utf8), "\(text) is also \(value)")
        return true
    }

    public static func seeds() -> [[UInt8]] {
        [
            "aether://example.org/plaza", "aether://example.org:7701/plaza/north",
            "aether://[2001:db8::7]:65535/plaza?spawn=1,-2.5,0.000001&instance=a.b",
            "AETHER://Example.ORG:7700/pl%61za?instance=i&spawn=-999999999.999999,0,1",
            "ws://127.0.0.1:7700/", "wss://[::ffff:192.0.2.1]", "ws://xn--bcher-kva.example:1",
            "[1:2:3:4:5:6:7:8]", "a-b.example", "0.5,-0.25,1000000000", "ada@alpha", "a_b-c.d@e",
            String(repeating: "0f", count: 16), String(repeating: "a1", count: 32),
        ].map { Array($0.utf8) }
    }
}
