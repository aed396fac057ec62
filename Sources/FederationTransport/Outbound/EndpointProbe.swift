import FederationModel
import FederationWebSocket
import NIOCore
import NIOSSL
import NIOTLS
import Synchronization

/// Tries an endpoint as a dial would, in one connection, and says how far it came. Nothing is said on the WebSocket.
struct EndpointProbe: Sendable {
    let resolver: any NameResolver
    let group: any EventLoopGroup
    let tls: PeerTLS
    /// For the names and each connection; and once more for TLS and the upgrade.
    let timeLimit: Duration

    /// - Parameters:
    ///   - address: one that was found before: then no name is looked up.
    ///   - policy: where to it may lead; nil where an operator chose it by hand.
    func run(
        _ endpoint: Endpoint, at address: NetworkAddress? = nil, policy: AddressPolicy?
    ) async -> [Finding] {
        var addresses: [NetworkAddress] = []
        if let address {
            if let refusal = policy?.refusal(of: address, endpoint.host) { return [Finding("dns", refusal)] }
            addresses.append(address)
        } else {
            let guarded = GuardedResolver(resolver: resolver, eventLoop: group.next())
            do throws(GuardedResolver.Failure) {
                addresses = try await guarded.addresses(
                    of: endpoint.host, policy: policy, by: .now() + timeLimit.timeAmount)
            } catch {
                return [Self.finding(error, endpoint)]
            }
        }
        return await connect(endpoint, at: addresses)
    }

    private func connect(_ endpoint: Endpoint, at addresses: [NetworkAddress]) async -> [Finding] {
        let shown = addresses.map { "\($0)" }.joined(separator: ", ")
        let named = Finding.ok(
            "dns",
            endpoint.host.address == nil ? "\(endpoint.host) is \(shown)" : "\(endpoint.host) needs no name server")
        let context: NIOSSLContext?
        do throws(PeerTLS.Unusable) {
            context = try endpoint.isSecure ? tls.context() : nil
        } catch {
            return [named, Self.unusable(error)]
        }
        let watch = StageWatch.Stages()
        do throws(WebSocketDialer.Failure) {
            let sockets = addresses.compactMap { try? SocketAddress(ipAddress: "\($0)", port: Int(endpoint.port)) }
            try await dialer(endpoint, context, watch).connect(to: target(endpoint), at: sockets) { channel in
                channel.close().flatMapErrorThrowing { _ in }
            }
        } catch {
            return [named] + Self.findings(error, watch, endpoint)
        }
        return [named] + Self.opened(endpoint) + [.ok("upgrade", "\(endpoint) speaks the federation's protocol")]
    }

    private func target(_ endpoint: Endpoint) -> WebSocketDialer.Target {
        WebSocketDialer.Target(
            host: endpoint.host.name, port: Int(endpoint.port), path: PeerRoute.path, subprotocol: PeerRoute.subprotocol
        )
    }

    /// - Parameter context: nil in clear.
    private func dialer(
        _ endpoint: Endpoint, _ context: NIOSSLContext?, _ watch: StageWatch.Stages
    ) -> WebSocketDialer {
        let name = endpoint.host.address == nil ? endpoint.host.name : nil
        return WebSocketDialer(
            group: group, connectTimeout: timeLimit.timeAmount, upgradeTimeout: timeLimit.timeAmount
        ) { channel in
            let pipeline = channel.pipeline.syncOperations
            if let context {
                try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: name))
            }
            try pipeline.addHandler(StageWatch(watch))
        }
    }

    // MARK: What went wrong

    private static func opened(_ endpoint: Endpoint) -> [Finding] {
        let tcp = Finding.ok("tcp", "port \(endpoint.port) takes connections")
        return endpoint.isSecure ? [tcp, .ok("tls", "the certificate is valid for \(endpoint.host)")] : [tcp]
    }

    private static func unusable(_ failure: PeerTLS.Unusable) -> Finding {
        .wrong("tls", "tls.failed", connectionFailureText(failure), PeerTLS.Unusable.remedy)
    }

    private static func finding(_ failure: GuardedResolver.Failure, _ endpoint: Endpoint) -> Finding {
        switch failure {
        case .unresolved(let reason):
            .wrong(
                "dns", "dns.unresolved", "no address is known for \(reason)",
                "check the spelling, the name's records, and this machine's name server")
        case .timedOut:
            .wrong(
                "dns", "dns.timedOut", "the name \(endpoint.host) was not resolved in time",
                "see to this machine's name server")
        case .refused(let refusal):
            Finding("dns", refusal)
        }
    }

    private static func findings(
        _ failure: WebSocketDialer.Failure, _ watch: StageWatch.Stages, _ endpoint: Endpoint
    ) -> [Finding] {
        let seen = watch.seen
        guard seen.isConnected else { return [tcp(failure, seen, endpoint)] }
        let connected = Finding.ok("tcp", "port \(endpoint.port) takes connections")
        guard !endpoint.isSecure || seen.isSecured else { return [connected, tls(failure, seen, endpoint)] }
        return opened(endpoint) + [upgrade(failure, endpoint)]
    }

    private static func tcp(
        _ failure: WebSocketDialer.Failure, _ seen: StageWatch.Seen, _ endpoint: Endpoint
    ) -> Finding {
        let reason = failure.description
        if reason.contains("refused") {
            return .wrong(
                "tcp", "tcp.refused", "nothing listens at \(endpoint)",
                "start the server there, or correct the port")
        }
        if reason.contains("imed out") || reason.contains("connectTimeout") || reason.contains("timeout") {
            return .wrong(
                "tcp", "tcp.timedOut", "\(endpoint) takes no connection in time",
                "see that the machine runs, and that no firewall swallows port \(endpoint.port)")
        }
        return .wrong(
            "tcp", "tcp.failed", "\(endpoint): \(reason)", "see to the network between the two machines")
    }

    private static func tls(
        _ failure: WebSocketDialer.Failure, _ seen: StageWatch.Seen, _ endpoint: Endpoint
    ) -> Finding {
        let reason = seen.failure ?? failure.description
        if case .timedOut = failure {
            return .wrong(
                "tls", "tls.timedOut", "\(endpoint) takes the connection and does not answer in TLS",
                "see whether TLS is spoken there: wss:// or ws://")
        }
        let hasEnded = reason.contains("uncleanShutdown") || reason.contains("the connection ended")
        switch TLSFault(reason) ?? (hasEnded ? .notSpoken : nil) {
        case .notSpoken:
            return .wrong(
                "tls", "tls.notSpoken", "\(endpoint) does not speak TLS",
                "give that server a certificate (tls.certificate), or write its endpoint as ws://")
        case .otherName:
            return .wrong(
                "tls", "tls.otherName", "the certificate of \(endpoint) is for another name than \(endpoint.host)",
                "get a certificate for \(endpoint.host), or name the host that it is for")
        case .untrusted:
            return .wrong(
                "tls", "tls.untrusted",
                "the certificate of \(endpoint) is expired, not valid yet, self-signed, or of an authority unknown here",
                TLSFault.untrusted.remedy)
        case nil:
            break
        }
        return .wrong(
            "tls", "tls.failed", "\(endpoint) agrees on no TLS: \(reason)",
            "see to the certificate and the TLS proxy there")
    }

    private static func upgrade(_ failure: WebSocketDialer.Failure, _ endpoint: Endpoint) -> Finding {
        let check = "upgrade"
        switch failure {
        case .timedOut:
            return .wrong(
                check, "upgrade.silent", "\(endpoint) takes the connection and says nothing",
                "see whether the server there hangs or is overloaded, or something else listens")
        case .refused(let status):
            return .wrong(
                check, "upgrade.refused", "\(endpoint) answers with HTTP status \(status) and no WebSocket",
                "if a proxy stands there, let it pass \(PeerRoute.path) with its Upgrade header")
        case .notOurProtocol:
            return .wrong(
                check, "upgrade.notOurs", "\(endpoint) speaks another protocol",
                "correct the address; it may be another kind of server")
        case .unreachable(let reason):
            return .wrong(
                check, "upgrade.broken", "\(endpoint) breaks the connection off: \(reason)",
                endpoint.isSecure
                    ? "see what answers there"
                    : "see what answers there; if it speaks TLS, write its endpoint as wss://")
        }
    }
}

/// Notes how far a connection comes.
private final class StageWatch: ChannelInboundHandler {
    typealias InboundIn = NIOAny
    typealias InboundOut = NIOAny

    struct Seen: Sendable {
        var isConnected = false
        var isSecured = false
        /// The first error.
        var failure: String?
    }

    /// What was seen of all connections to one endpoint.
    final class Stages: Sendable {
        private let state = Mutex(Seen())

        var seen: Seen { state.withLock(\.self) }

        func note(_ change: (inout Seen) -> Void) {
            state.withLock { change(&$0) }
        }
    }

    private let stages: Stages

    init(_ stages: Stages) {
        self.stages = stages
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { stages.note { $0.isConnected = true } }
    }

    func channelActive(context: ChannelHandlerContext) {
        stages.note { $0.isConnected = true }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { stages.note { $0.isSecured = true } }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let text = String(describing: error)
        stages.note { $0.failure = $0.failure ?? text }
        context.fireErrorCaught(error)
    }
}

extension AddressPolicy {
    /// Why an address may not be turned to; nil when it may.
    fileprivate func refusal(of address: NetworkAddress, _ host: Host) -> Refusal? {
        do throws(Refusal) {
            try check([address], of: host)
            return nil
        } catch {
            return error
        }
    }
}
