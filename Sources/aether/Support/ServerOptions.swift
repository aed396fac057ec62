import ArgumentParser
import FederationModel
import Foundation

/// Which server a command talks to: the one whose data directory is here, or any by its address.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The server's data directory (else AETHER_DATA, else ~/.aether).", valueName: "dir"))
    var data: String?

    @Option(
        help: ArgumentHelp(
            "Another server's address; its admin key is read from AETHER_ADMIN_KEY.", valueName: "http://host:port"))
    var server: String?

    @Flag(help: "Print JSON instead of text.")
    var json = false

    /// A client for the chosen server.
    func client() async throws -> AdminClient {
        if let server {
            guard server.hasPrefix("http://") || server.hasPrefix("https://") else {
                throw ValidationError("--server takes http://host:port or https://host:port")
            }
            let base = server.hasSuffix("/") ? String(server.dropLast()) : server
            let variable = "AETHER_ADMIN_KEY"
            let key = (ProcessInfo.processInfo.environment[variable] ?? "")
                .trimmingCharacters(in: .whitespacesAndNewlines)
            // One that is empty is none: what anybody may ask is answered.
            return AdminClient(base: base, key: key.isEmpty ? nil : try Self.key(key, in: variable))
        }
        let directory = ServerHome(data)
        try directory.requireInitialised()
        guard let record = try ListeningRecord.read(in: directory) else {
            throw Refusal(
                .unavailable, code: "server.unreachable", reason: "no server runs in \(directory.path)",
                remedy: "start it with: aether serve --data \(directory.path)")
        }
        let local = LocalServer(record)
        let key = try Self.key(try directory.adminKey(), in: directory.adminKeyFile)
        return AdminClient(base: local.base, key: key, http: local.http)
    }

    /// A text that can be shown as a key (RFC 6750 §2.1). Any other would come back in the complaint of whoever has to send
    /// it; this one does not repeat it.
    private static func key(_ text: String, in place: String) throws -> String {
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=".utf8)
        guard (1...512).contains(text.utf8.count), text.utf8.allSatisfy(allowed.contains) else {
            throw Refusal(
                .invalid, code: "admin.keyMalformed", reason: "what is in \(place) is not an admin key",
                remedy: "put the one line there that aether init wrote to admin.key")
        }
        return text
    }

    /// The configuration of the server whose data directory is here; nil when another one is named by its address.
    func configuration() async throws -> ServerConfiguration? {
        server == nil ? try await configuration(of: ServerHome(data)) : nil
    }

    private func configuration(of directory: ServerHome) async throws -> ServerConfiguration {
        try directory.requireInitialised()
        return try await ConfigurationLoader(file: directory.configurationFile, flags: [:]).load()
    }

    /// Prints an answer: as JSON where that was asked for, else by `show`.
    func show(_ response: AdminClient.Response, _ show: (JSONText.Fields) -> Void) {
        if json {
            Terminal.say(response.json.pretty)
        } else {
            show(response.json.fields)
        }
    }
}
