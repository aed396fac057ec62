/// The name of a part of a world.
public struct ZoneID: Identifier {
    public let rawValue: String

    public init(unchecked rawValue: String) {
        self.rawValue = rawValue
    }

    public static let noun = "zone id"
}
