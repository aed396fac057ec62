import Testing

extension Programs {
    @Suite("Names that others rely on")
    struct Names {
        /// Every command with those below it; in brackets the one that is meant when none is named.
        private static let commands = [
            "assets add [list] verify",
            "demo",
            "doctor",
            "init",
            "keys revoke rotate [show]",
            "peers add heard [list] reinstate remove scopes show suspend",
            "players [list] reclaim show",
            "policy allow deny introduce remove set [show] trust",
            "registry audit conflicts leave [list] log readmit reinstate show sources suspend",
            "routes add [list] off on remove resolve",
            "serve",
            "simulate",
            "status",
            "travel",
            "worlds add events [list] remove",
        ]

        /// Would fail if a command were renamed, left out of the one above it, or no longer the one that is meant
        /// without a name: operators' scripts would break.
        @Test("The commands keep their names")
        func commands() async throws {
            try await Scratch.use { scratch in
                let end = try await scratch.aether("--experimental-dump-help")
                #expect(end.code == 0, "\(end.err)")
                let commands = JSON(end.out)["command"]["subcommands"].list.map { command in
                    let below = command["subcommands"].list.compactMap { $0["commandName"].string }.sorted()
                    let meant = command["defaultSubcommand"].string
                    let names = [command["commandName"].string ?? "?"] + below.map { $0 == meant ? "[\($0)]" : $0 }
                    return names.joined(separator: " ")
                }
                // The library's own.
                #expect(commands.filter { $0 != "help" }.sorted() == Self.commands)
            }
        }

        /// Would fail if they were named by what they hold, as they are when nobody names them: to write that down
        /// takes time at each start, and all of it would be in the log.
        @Test("The services of a running server are named in its log")
        func services() async throws {
            try await Scratch.use { scratch in
                let node = try await Node("alpha", in: scratch, "--log-level", "debug")
                try await node.start()
                let end = try await node.stop()
                #expect(end.code == 0, "\(end.err)")
                #expect(end.err.contains(#"sl-services=["federation", "http", "winding down", "input"]"#), "\(end.err)")
            }
        }
    }
}
