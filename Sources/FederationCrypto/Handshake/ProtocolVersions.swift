/// A range of protocol versions that a server speaks.
public struct ProtocolVersions: Hashable, Sendable {
    public let minimum: UInt16
    public let maximum: UInt16

    /// nil unless 1 ≤ minimum ≤ maximum.
    public init?(minimum: UInt16, maximum: UInt16) {
        guard minimum >= 1, minimum <= maximum else { return nil }
        self.minimum = minimum
        self.maximum = maximum
    }

    private init(only version: UInt16) {
        minimum = version
        maximum = version
    }

    /// What this implementation speaks.
    public static let current = ProtocolVersions(only: 1)

    /// The highest version that both speak; nil when there is none.
    public func highestInCommon(with other: ProtocolVersions) -> UInt16? {
        let version = min(maximum, other.maximum)
        return version >= minimum && version >= other.minimum ? version : nil
    }
}
