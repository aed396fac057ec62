/// The name of a portal, unique on the server where it stands.
public struct PortalID: Identifier {
    public let rawValue: String

    public init(unchecked rawValue: String) {
        self.rawValue = rawValue
    }

    public static let noun = "portal id"
}
