public import FederationModel

/// A change of what a server trusts others by.
public enum TrustChange: Hashable, Sendable {
    case putPolicy(TrustPolicy)
    /// Inserts or replaces what the introducer says of the subject.
    case putIntroduction(HeardIntroduction)
    case removeIntroduction(introducer: ServerID, subject: ServerID)
}
