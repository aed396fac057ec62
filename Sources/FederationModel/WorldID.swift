/// The name of a world, unique on the server that offers it.
public struct WorldID: Identifier {
    public let rawValue: String

    public init(unchecked rawValue: String) {
        self.rawValue = rawValue
    }

    public static let noun = "world id"
}
