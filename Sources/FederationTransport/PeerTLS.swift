public import NIOSSL
import Synchronization

/// How `wss://` endpoints are dialled. A peer's identity never depends on it; the handshake inside proves that.
///
/// Copies share what is read of the roots, as long as none of them is changed: hand one to all that dial.
public struct PeerTLS: Sendable {
    /// Whose certificates are believed: the system's by default.
    public var trustRoots: NIOSSLTrustRoots {
        didSet { shared = Shared() }
    }
    /// Whether the certificate must be valid for the host that was dialled. Switch it off for rehearsals only.
    public var verifiesCertificates: Bool {
        didSet { shared = Shared() }
    }

    private var shared = Shared()

    public init(trustRoots: NIOSSLTrustRoots = .default, verifiesCertificates: Bool = true) {
        self.trustRoots = trustRoots
        self.verifiesCertificates = verifiesCertificates
    }

    /// What is behind the connections of a value and of its copies.
    private final class Shared: Sendable {
        let context = Mutex<NIOSSLContext?>(nil)
    }

    /// The roots cannot be read, or are none.
    struct Unusable: Error, CustomStringConvertible {
        let cause: String
        /// Whether somebody has named them: then the system's do not count.
        let areNamed: Bool

        static let remedy =
            "install the system's root certificates, or name others with tls.trustRoots; then start the server again"

        var description: String {
            "\(areNamed ? "the roots that tls.trustRoots names" : "the system's root certificates") cannot be read: \(cause)"
        }
    }

    /// Reads the roots that somebody has named, so that what is wrong with them is said before anything is dialled. The
    /// system's are left until they are needed: there are more than a hundred, which takes milliseconds, and a server that
    /// dials nobody over TLS needs none.
    func prepare() throws(Unusable) {
        if namesRoots { _ = try context() }
    }

    /// For every connection. The first call may read the roots, which takes milliseconds: never call it on an event loop. A
    /// call that fails leaves it to the next one to try again; but where the system keeps its own is looked for once in a process.
    func context() throws(Unusable) -> NIOSSLContext {
        try shared.context.withLock { context throws(Unusable) -> NIOSSLContext in
            if let context { return context }
            let made = try make()
            context = made
            return made
        }
    }

    private var namesRoots: Bool {
        if case .default = trustRoots { false } else { true }
    }

    /// Whether the roots have been read.
    var isRead: Bool { shared.context.withLock { $0 != nil } }

    private func make() throws(Unusable) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.trustRoots = trustRoots
        configuration.certificateVerification = verifiesCertificates ? .fullVerification : .none
        configuration.applicationProtocols = ["http/1.1"]
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw Unusable(cause: "\(error)", areNamed: namesRoots)
        }
    }
}
