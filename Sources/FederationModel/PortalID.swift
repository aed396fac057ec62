/// The name of a portal, unique on the server where it stands.
public struct PortalID: HashedIdentifier {
    public let rawValue: String
    @usableFromInline package let textHash: Int

    public init(unchecked rawValue: String) {
        self.rawValue = rawValue
        textHash = rawValue.hashValue
    }

    @inlinable
    public static func == (left: Self, right: Self) -> Bool {
        left.textHash == right.textHash && left.rawValue == right.rawValue
    }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        hasher.combine(textHash)
    }

    public static let noun = "portal id"
}
