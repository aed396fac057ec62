import AsyncHTTPClient
import FederationModel
import NIOSSL
import Synchronization

/// How a server is reached from its own machine: where it says that it listens, or else by its configuration.
struct LocalServer {
    /// `http://host:port`, or `https://` with the name that its certificate is for.
    let base: String
    let http: HTTPClient

    init(_ configuration: ServerConfiguration) {
        self.init(ListeningRecord(configuration))
    }

    init(_ record: ListeningRecord) {
        // What is bound to every address is bound to the one of this machine alone, in the same family.
        let here = ["0.0.0.0": "127.0.0.1", "::": "::1"][record.address] ?? record.address
        guard let certificate = record.certificate else {
            let shown = here.contains(":") ? "[\(here)]" : here
            base = "http://\(shown):\(record.port)"
            http = AdminClient.plain
            return
        }
        // The certificate is for the name by which others come; the way there may lead through a router that does not lead
        // back in. So the name is asked for, here.
        let name = record.name
        base = "https://\(name):\(record.port)"
        http = Self.client(
            reaching: Endpoint("wss://\(name):\(record.port)")?.host.address == nil ? [name: here] : [:],
            trusting: certificate,
            roots: record.trustRoots)
    }

    /// Clients live as long as the program.
    private static let clients = Mutex<[String: HTTPClient]>([:])

    private static func client(
        reaching names: [String: String], trusting certificate: String, roots: String?
    ) -> HTTPClient {
        clients.withLock { clients in
            let key = "\(names) \(certificate) \(roots ?? "")"
            if let known = clients[key] { return known }
            var tls = TLSConfiguration.makeClientConfiguration()
            if let roots { tls.trustRoots = .file(roots) }
            // Its operator may know it by nothing else than this file, as where it has signed itself.
            tls.additionalTrustRoots = [.file(certificate)]
            var configuration = AdminClient.settings
            configuration.tlsConfiguration = tls
            configuration.dnsOverride = names
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
            clients[key] = client
            return client
        }
    }
}
