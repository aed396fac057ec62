import ArgumentParser
import FederationCore
import FederationModel

extension PeersCommand {
    struct Scopes: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "scopes", abstract: "Show what a peer may do here, or set it; it holds at once.")

        @Argument(help: "The peer.") var id: String
        @Argument(help: "heartbeat, and any of route, assets and handoff; or all; or none. Leave it out to look.")
        var scopes: [String] = []
        @OptionGroup var options: ServerOptions

        func run() async throws {
            let id = try identifier(id, as: ServerID.self)
            let text = scopes == ["all"] ? PeerScopes.all.description : scopes.joined(separator: ",")
            let chosen = try PolicyCommand.scopes(scopes.isEmpty ? nil : text)
            let client = try await options.client()
            let response: AdminClient.Response
            if let chosen {
                response = try await client.request(
                    "PATCH", "/v1/peers/\(id)", body: .json(["scopes": chosen.names]))
            } else {
                response = try await client.get("/v1/peers/\(id)")
            }
            options.show(response) { peer in
                let names = peer["scopes"].list.map { $0.text() }
                Terminal.say("\(id) may: \(names.isEmpty ? "nothing" : names.joined(separator: ", "))")
            }
        }
    }

    struct Heard: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "heard", abstract: "List servers of which peers have told. Heard of is not trusted.")

        @OptionGroup var options: ServerOptions

        func run() async throws {
            let response = try await options.client().get("/v1/introductions")
            options.show(response) { body in
                var table = Table("ID", "TRUST", "INTRODUCED BY")
                for server in body["servers"].list {
                    let trust = server["trust"].text("none").prefix { $0 != ":" }
                    for said in server["introductions"].list {
                        table.add(server["id"].text(), String(trust), said["introducer"].text())
                        table.note("\(said["fingerprint"].text())  \(said["endpoint"].text())")
                    }
                }
                table.show(empty: "Nobody has told of anybody.")
            }
        }
    }
}
