import FederationModel
public import Hummingbird
import NIOCore

/// What travels with one request.
public struct FederationRequestContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    /// Who asks.
    let remote: RemoteAddress
    /// What the request is called in the log and in its answer. Hummingbird keeps its own in the logger's metadata alone,
    /// which a logger that goes nowhere does not hold.
    let requestID: String
    /// The connection, for answers that last as long as it does.
    let channel: any Channel

    public init(source: ApplicationRequestContextSource) {
        requestID = source.logger[metadataKey: "hb.request.id"]?.description ?? RequestID().description
        coreContext = CoreRequestContextStorage(source: source)
        remote = RemoteAddress(source.channel.remoteAddress)
        channel = source.channel
    }
}

/// The other end of a connection, as far as decisions depend on it. It is the socket's address: headers that proxies add
/// can be added by anybody and count for nothing here.
struct RemoteAddress: Hashable, Sendable {
    /// For logs.
    let text: String
    let isLoopback: Bool
    /// What connections, failed attempts and the like are counted by; see ``NetworkAddress/network``.
    let network: String

    init(_ address: SocketAddress?) {
        text = address?.ipAddress ?? "unknown"
        let parsed = NetworkAddress(text)
        isLoopback = parsed?.isLoopback ?? false
        network = parsed.map { "\($0.network)" } ?? text
    }
}
