import FederationModel
import Hummingbird

extension FederationRequestContext {
    /// A part of the path with a grammar of its own.
    func part<Value: LosslessStringConvertible>(
        _ name: String, as type: Value.Type, _ grammar: String
    ) throws(Problem) -> Value {
        let raw = parameters.get(name) ?? ""
        guard let text = percentDecoded(raw), let value = Value(text) else {
            throw .badRequest("path.invalid", "\(quoted(raw)) in the path is not a \(name)", remedy: "use \(grammar)")
        }
        return value
    }

    /// An identifier in the path.
    func identifier<ID: Identifier>(_ name: String, as type: ID.Type) throws(Problem) -> ID {
        try part(name, as: type, ID.grammar)
    }

    func server() throws(Problem) -> ServerID { try identifier("server", as: ServerID.self) }

    func world() throws(Problem) -> WorldID { try identifier("world", as: WorldID.self) }

    func portal() throws(Problem) -> PortalID { try identifier("portal", as: PortalID.self) }

    func handoff() throws(Problem) -> HandoffID {
        try part("handoff", as: HandoffID.self, "32 lower-case hex digits")
    }

    func hash() throws(Problem) -> ContentHash {
        try part("sha256", as: ContentHash.self, "64 lower-case hex digits")
    }

    /// `name@home`, or `name` for a player whose home is this server.
    func player(home: ServerID) throws(Problem) -> PlayerID {
        try part("player", as: PlayerText.self, PlayerText.grammar).id(home: home)
    }
}

/// A player as callers name them.
struct PlayerText: LosslessStringConvertible {
    private let name: PlayerName
    private let home: ServerID?

    static let grammar = "name or name@home-server, each \(PlayerName.grammar)"

    init?(_ description: String) {
        if let player = PlayerID(description) {
            name = player.name
            home = player.home
        } else if let name = PlayerName(rawValue: description) {
            self.name = name
            home = nil
        } else {
            return nil
        }
    }

    var description: String { home.map { "\(name)@\($0)" } ?? name.rawValue }

    /// The player, at home on `home` unless the text says otherwise.
    func id(home: ServerID) -> PlayerID { PlayerID(name: name, home: self.home ?? home) }
}
