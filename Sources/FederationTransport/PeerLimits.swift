import FederationModel
import NIOCore

/// Bounds of the transport that the protocol itself does not know.
enum PeerLimits {
    /// Bytes of frames that may wait to be sent to one peer; one frame always may.
    static let outboundBytes = 64 << 20
    /// Unfinished incoming handshakes. The rest of what a server can have open is left to those it dials itself.
    static let openIncomingHandshakes = Limits.openHandshakes / 4 * 3
    /// Unfinished incoming handshakes from one address.
    static let openHandshakesPerAddress = 64
    /// Handshakes that one address may begin at once, ended or not; ``handshakePause`` later one more. Not counted where
    /// this machine is the address: a proxy there speaks for everybody.
    static let handshakesPerAddress = 60
    static let handshakePause: Duration = .milliseconds(500)
    /// Addresses of which that is remembered; those that have begun least are forgotten first.
    static let handshakeAddresses = 8_192
    /// Silence after which a channel is given up: four heartbeats of either side.
    static let idleTimeout = Duration.seconds(120)
    /// Between these many written bytes frames stop being sealed, and are sealed again.
    static let writeMarks = (low: 256 << 10, high: 1 << 20)
    /// Frames sealed before the socket is looked at again.
    static let sealingRun = 64
    /// Received frames that are handed to the server together: a visit costs more than what most frames are there for.
    static let handlingRun = 16
    /// Bytes of their payloads, unless one alone has more: what is handed over together stays in memory together.
    static let handlingBytes = 1 << 20
}

extension Duration {
    var timeAmount: TimeAmount { .nanoseconds(clampedNanoseconds) }
}
