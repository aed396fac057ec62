import ArgumentParser

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show how a server is.")

    @OptionGroup var options: ServerOptions

    func run() async throws {
        let response = try await options.client().get("/v1/status")
        options.show(response) { status in
            Terminal.say("\(Terminal.styled(status["id"].text(), .bold))  \(status["name"].text())")
            let rows = [
                ("endpoint", status["endpoint"].text()), ("fingerprint", status["fingerprint"].text()),
                ("since", status["startedAt"].text()), ("servers known", status["servers"].text()),
                (
                    "peers",
                    "\(status["peers"].text()), \(status["trustedPeers"].text()) trusted, "
                        + "\(status["healthyPeers"].text()) healthy"
                ),
                ("routes", status["routes"].text()), ("worlds", status["worlds"].text()),
                ("players here", status["players"].text()), ("open handoffs", status["openHandoffs"].text()),
                ("storage", status["storageFailure"].string ?? "ok"),
            ]
            for (name, value) in rows {
                Terminal.say("  " + name.padded(to: 15) + value)
            }
            for peer in status["failingPeers"].list {
                let (id, silence) = (peer["id"].text(), humanTime(peer["seconds"].int ?? 0))
                Terminal.say(Terminal.styled("  ! \(id) not heard for \(silence): aether peers show \(id)", .yellow))
            }
        }
    }
}

extension String {
    /// With spaces at the end, up to `width` characters.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
