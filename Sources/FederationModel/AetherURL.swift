public struct AetherURL: Hashable, Sendable {
    /// The port of a server that names none.
    public static let defaultPort: UInt16 = 7_700
}
