public import FederationModel

/// What to look for in a registry; what is nil does not matter.
public struct RegistrySearch: Hashable, Sendable {
    public var status: ServerStatus?
    /// A world that the server announces.
    public var world: WorldID?
    /// Part of the id or the name, whatever the case; at most ``Limits/searchTextBytes``.
    public var text: String?

    public init(status: ServerStatus? = nil, world: WorldID? = nil, text: String? = nil) {
        self.status = status
        self.world = world
        self.text = text
    }
}

extension ServerRegistry {
    /// Up to `limit` servers that match, sorted by id, from the first one after `cursor` on, and where to go on; nil at
    /// the end. It looks at no more than `bound` entries, so a page may hold fewer than there are.
    public func search(
        _ search: RegistrySearch, after cursor: ServerID?, limit: Int, examining bound: Int = Limits.searchedServers
    ) -> (servers: [FederatedServer], next: ServerID?) {
        let text = search.text.map { Array($0.lowercased().utf8) }
        var found: [FederatedServer] = []
        var last = cursor
        var examined = 0
        while examined < bound {
            let portion = min(text == nil && search.world == nil ? limit : 512, bound - examined)
            let servers = list(world: search.world, status: search.status, after: last, limit: portion)
            for server in servers {
                last = server.id
                guard search.status == nil || server.status == search.status,
                    text.map({ Self.mentions($0, server) }) ?? true
                else { continue }
                found.append(server)
                if found.count == limit { return (found, server.id) }
            }
            examined += servers.count
            if servers.count < portion { return (found, nil) }
        }
        return (found, last)
    }

    private static func mentions(_ text: [UInt8], _ server: FederatedServer) -> Bool {
        isPart(text, of: Array(server.id.rawValue.utf8)) || isPart(text, of: Array(server.name.lowercased().utf8))
    }

    private static func isPart(_ part: [UInt8], of whole: [UInt8]) -> Bool {
        guard part.count <= whole.count else { return false }
        return (0...(whole.count - part.count)).contains { start in
            whole[start..<(start + part.count)].elementsEqual(part)
        }
    }
}
