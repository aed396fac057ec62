/// The name by which a server is known in the federation; its keys are bound to it by trust policy.
public struct ServerID: Identifier {
    public let rawValue: String

    public init(unchecked rawValue: String) {
        self.rawValue = rawValue
    }

    public static let noun = "server id"
}
