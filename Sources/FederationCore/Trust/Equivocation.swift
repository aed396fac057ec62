public import FederationModel

/// Two cards of one server, both signed by it, with the same sequence number and different content: it, or a thief of its
/// key, tells different people different things. Kept as proof that anybody can check.
public struct Equivocation: Hashable, Sendable {
    public let server: ServerID
    /// The card that was known, as compact JWS; empty when the proof had to give way to others', so that only the fact is kept.
    public let first: String
    /// The card that contradicts it; empty when ``first`` is.
    public let second: String
    public let seenAt: Timestamp

    public init(server: ServerID, first: String, second: String, seenAt: Timestamp) {
        self.server = server
        self.first = first
        self.second = second
        self.seenAt = seenAt
    }

    /// Whether the cards are there.
    var isProof: Bool { !first.isEmpty }

    /// The same without the cards.
    var fact: Equivocation { Equivocation(server: server, first: "", second: "", seenAt: seenAt) }
}
