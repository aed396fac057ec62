/// Where the federation channel lives on a server's port.
public enum PeerRoute {
    public static let path = "/federation"
    /// The WebSocket subprotocol that both sides must name.
    public static let subprotocol = "aether-federation.1"
}
