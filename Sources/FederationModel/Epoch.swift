/// How often a player has changed hands. A claim about a player with an older epoch is refused everywhere, so that a server
/// restored from an old backup cannot revive a player who has left.
///
/// It has two parts, so that it can be raised beyond what anybody else may have counted to: the *term* in the upper 24 bits,
/// which only the player's home server raises (``nextTerm``), and the *hops* in the lower 24, +1 with every committed
/// handoff (``next``). Comparing the numbers compares the terms first.
public struct Epoch: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let number: UInt64

    public init(_ number: UInt64) {
        self.number = number
    }

    private static let hopBits: UInt64 = 24

    /// The epoch of a player who has never travelled.
    public static let first = Epoch(1)
    /// The largest that is accepted anywhere. JSON readers hold it exactly (RFC 7493 §2.2).
    public static let last = Epoch(1 << (2 * hopBits) - 1)

    /// Whether it is one that a player can have: 1 to 2^48-1.
    public var isValid: Bool { Epoch.first <= self && self <= Epoch.last }

    /// How often the home server has taken the player back.
    public var term: UInt64 { number >> Self.hopBits }

    /// The epoch after one more handoff; nil after 2^24-1 of them within one term, when only the home server can go on.
    public var next: Epoch? {
        guard isValid else { return nil }
        let next = Epoch(number + 1)
        return next.term == term ? next : nil
    }

    /// The first epoch of the next term, above everything that others may have counted to; nil after the last term.
    public var nextTerm: Epoch? {
        guard isValid else { return nil }
        let next = Epoch((term + 1) << Self.hopBits)
        return next.isValid ? next : nil
    }

    /// The first epoch of the term that comes so many terms later; nil when there is none.
    public func term(after terms: UInt64) -> Epoch? {
        guard isValid, terms <= Epoch.last.term - term else { return nil }
        return Epoch((term + terms) << Self.hopBits)
    }

    /// The first epoch of this one's term; of the first term it is 0, which no player has.
    public var beginningOfTerm: Epoch { Epoch(term << Self.hopBits) }

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
