/// Two servers that are peers, each in a process of its own, and players at the first who have not crossed yet.
final class ServerPair {
    let alpha: Child
    let beta: Child
    private var next = 0

    /// - Parameter players: how many will cross.
    init(in folder: String, acceptMilliseconds: Int, players: Int, records: Bool = false) throws {
        func start(_ id: String) throws -> Child {
            try Child(
                .handoff,
                ["--id", id, "--directory", "\(folder)/\(id)", "--accept-milliseconds", "\(acceptMilliseconds)"]
                    + (records ? ["--records"] : []))
        }
        alpha = try start("alpha")
        beta = try start("beta")
        try alpha.ask("peer", try beta.ask("card"))
        try beta.ask("peer", try alpha.ask("card"))
        try alpha.ask("world", "\(HandoffServer.home)", "16", "1")
        try beta.ask("world", "\(HandoffServer.abroad)", "16", "2")
        try alpha.ask("route", "\(HandoffServer.portal)", "beta", "\(HandoffServer.abroad)")
        // One crossing beforehand: the world abroad is fetched and verified once.
        try alpha.ask("players", "0", "\(players + 1)")
        _ = try cross(1, atOnce: 1)
    }

    func cross(_ count: Int, atOnce: Int) throws -> CrossingTimes {
        defer { next += count }
        return try alpha.ask(CrossingTimes.self, "cross \(next) \(next + count) \(atOnce)")
    }

    /// Makes a world with one file of `bytes` at the second server and a portal of the same name to it at the first.
    func open(_ world: String, bytes: Int, seed: Int) throws {
        try beta.ask("world", world, "\(bytes)", "\(seed)")
        try alpha.ask("route", world, "beta", world)
    }

    /// Sends a player towards that world, until everything that belongs to it is here and verified.
    func fetch(_ world: String) throws {
        defer { next += 1 }
        try alpha.ask("fetch", "\(next)", world)
    }

    /// Nanoseconds of both.
    func processorTime() throws -> Double {
        try alpha.number("processor") + (try beta.number("processor"))
    }

    /// Nanoseconds from a heartbeat to its answer.
    func roundTrip() throws -> Double { try alpha.number("roundTrip beta") * 1_000 }

    func end() {
        alpha.end()
        beta.end()
    }
}
