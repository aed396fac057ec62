/// The name of one running copy of a world.
public struct InstanceID: Identifier {
    public let rawValue: String

    public init(unchecked rawValue: String) {
        self.rawValue = rawValue
    }

    public static let noun = "instance id"
}
