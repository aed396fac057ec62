/// The name of a player at their home server; with that server it makes a ``PlayerID``.
public struct PlayerName: Identifier {
    public let rawValue: String

    public init(unchecked rawValue: String) {
        self.rawValue = rawValue
    }

    public static let noun = "player name"
}
