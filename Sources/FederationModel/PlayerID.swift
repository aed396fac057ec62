/// A player in the whole federation: `name@home`, where `home` is the server at which the player first entered.
public struct PlayerID: Hashable, Comparable, Sendable, Codable, LosslessStringConvertible {
    public let name: PlayerName
    public let home: ServerID

    public init(name: PlayerName, home: ServerID) {
        self.name = name
        self.home = home
    }

    /// Parses `name@home`; nil unless there is exactly one `@` and both sides follow ``Identifier``'s grammar.
    public init?(_ description: String) {
        // A second `@` is in no home's grammar.
        guard let at = description.utf8.firstIndex(of: 0x40),
            let name = PlayerName(rawValue: String(description[..<at])),
            let home = ServerID(rawValue: String(description[description.utf8.index(after: at)...]))
        else { return nil }
        self.init(name: name, home: home)
    }

    public var description: String { "\(name)@\(home)" }

    public static func < (left: Self, right: Self) -> Bool {
        (left.name, left.home) < (right.name, right.home)
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = PlayerID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a player id: name@home-server, each \(PlayerName.grammar)")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
