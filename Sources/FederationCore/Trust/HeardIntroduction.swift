public import FederationCrypto
public import FederationModel

/// One peer's word that it knows a server, as it is kept. It gives no trust by itself: see ``TrustPolicy/introducedBy``.
public struct HeardIntroduction: Hashable, Sendable {
    /// Its signature was verified when it came.
    public let introduction: Introduction
    public let heardAt: Timestamp

    public var introducer: ServerID { introduction.issuer }
    public var subject: ServerID { introduction.subject }

    public init(introduction: Introduction, heardAt: Timestamp) {
        self.introduction = introduction
        self.heardAt = heardAt
    }
}
