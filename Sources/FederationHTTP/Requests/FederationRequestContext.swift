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
    /// What failed attempts are counted by: an IPv4 address, or the 64-bit prefix of an IPv6 one, which a single caller
    /// usually has to themselves.
    let network: String

    init(_ address: SocketAddress?) {
        let text = address?.ipAddress ?? "unknown"
        self.text = text
        guard case .v6(let six)? = address else {
            isLoopback = text.hasPrefix("127.")
            network = text
            return
        }
        let bytes = withUnsafeBytes(of: six.address.sin6_addr) { Array($0) }
        let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        if isMapped {
            isLoopback = bytes[12] == 127
            network = bytes[12...].map { String($0) }.joined(separator: ".")
        } else {
            isLoopback = bytes == [UInt8](repeating: 0, count: 15) + [1]
            network = bytes[..<8].map { String($0, radix: 16) }.joined(separator: ":")
        }
    }
}
