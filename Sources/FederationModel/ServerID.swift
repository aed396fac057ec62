/// The name by which a server is known in the federation; its keys are bound to it by trust policy.
public struct ServerID: HashedIdentifier {
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

    public static let noun = "server id"
}
