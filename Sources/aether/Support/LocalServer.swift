import AsyncHTTPClient
import FederationModel
import NIOSSL
import Synchronization

/// How a server is reached from its own machine, by its own configuration.
struct LocalServer {
    /// `http://host:port`, or `https://` with the name that its certificate is for.
    let base: String
    let http: HTTPClient

    init(_ configuration: ServerConfiguration) {
        let here = ["0.0.0.0", "::"].contains(configuration.host) ? "127.0.0.1" : configuration.host
        guard let certificate = configuration.tlsCertificate else {
            let shown = here.contains(":") ? "[\(here)]" : here
            base = "http://\(shown):\(configuration.port)"
            http = AdminClient.plain
            return
        }
        // The certificate is for the name by which others come; the way there may lead through a router that does not lead
        // back in. So the name is asked for, here.
        let name = "\(configuration.endpoint.host)"
        base = "https://\(name):\(configuration.port)"
        http = Self.client(
            reaching: configuration.endpoint.host.address == nil ? [name: here] : [:], trusting: certificate,
            roots: configuration.tlsTrustRoots)
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
