/// One channel of this process, for as long as the process lives. Never sent.
public struct ChannelID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let number: UInt64

    public init(_ number: UInt64) {
        self.number = number
    }

    public var description: String { "channel \(number)" }

    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// Who opened a channel.
public enum ChannelDirection: String, Hashable, Sendable, Codable {
    /// This server dialled.
    case outgoing
    /// The peer dialled.
    case incoming
}
