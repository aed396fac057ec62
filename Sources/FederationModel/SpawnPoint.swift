/// Where a player appears in a world: three finite coordinates in the world's own unit, usually metres.
public struct SpawnPoint: Hashable, Sendable, Codable, LosslessStringConvertible {
    public let x: Double
    public let y: Double
    public let z: Double

    /// nil when a coordinate is NaN or infinite, or its magnitude is over ``Limits/coordinate``.
    public init?(x: Double, y: Double, z: Double) {
        guard [x, y, z].allSatisfy({ $0.isFinite && $0.magnitude <= Limits.coordinate }) else { return nil }
        self.x = Self.rounded(x)
        self.y = Self.rounded(y)
        self.z = Self.rounded(z)
    }

    /// Parses `x,y,z`: three decimal numbers without exponent, sign `+` or spaces.
    public init?(_ description: String) {
        let parts = description.split(separator: ",", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, let x = Self.coordinate(parts[0]), let y = Self.coordinate(parts[1]),
            let z = Self.coordinate(parts[2])
        else { return nil }
        self.init(x: x, y: y, z: z)
    }

    public var description: String { "\(Self.text(x)),\(Self.text(y)),\(Self.text(z))" }

    /// To a millionth, and minus zero to zero, so that the text reads back as the same value.
    private static func rounded(_ value: Double) -> Double {
        (value * 1_000_000).rounded() / 1_000_000 + 0
    }

    private static func coordinate(_ text: Substring) -> Double? {
        guard (1...32).contains(text.utf8.count) else { return nil }
        let digits = text.first == "-" ? text.dropFirst() : text
        let parts = digits.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count),
            parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
        else { return nil }
        return Double(text)
    }

    /// The shortest decimal that reads back as the same value; whole numbers without `.0`. The bound on coordinates and
    /// the rounding to a millionth keep exponents out.
    private static func text(_ value: Double) -> String {
        if value == value.rounded() { return String(Int64(value)) }
        if value.magnitude >= 0.0001 { return "\(value)" }
        let millionths = Int64((value.magnitude * 1_000_000).rounded())
        let digits = String(millionths)
        let padded = String(repeating: "0", count: 6 - digits.count) + digits
        var trimmed = Substring(padded)
        while trimmed.last == "0" { trimmed.removeLast() }
        return (value < 0 ? "-0." : "0.") + trimmed
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = SpawnPoint(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a spawn point: x,y,z as decimal numbers")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
