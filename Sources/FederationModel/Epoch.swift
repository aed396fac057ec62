/// How often a player has changed hands: +1 with every committed handoff. A claim about a player with an older epoch is
/// refused everywhere, so that a server restored from an old backup cannot revive a player who has left.
public struct Epoch: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let number: UInt64

    public init(_ number: UInt64) {
        self.number = number
    }

    /// The epoch of a player who has never travelled.
    public static let first = Epoch(1)

    /// The epoch after this one; saturates instead of wrapping, so that it never goes backwards.
    public var next: Epoch { Epoch(number == .max ? .max : number + 1) }

    public var description: String { String(number) }

    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }

    public init(from decoder: any Decoder) throws {
        number = try decoder.singleValueContainer().decode(UInt64.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }
}
