import FederationModel

/// One socket between two parties: in order each way, until it breaks. The record layer refuses whatever is lost,
/// doubled or moved within a channel, so a network that does such things can only break it. What happens to
/// frames about handoffs all the same is done before they are on a wire; see ``Disturbance``.
final class SimulatedWire {
    enum Party: Hashable, CustomStringConvertible {
        case server(Int)
        /// The peer with a valid key that does as it likes.
        case hostile
        /// Somebody who dials with a key that nobody pinned.
        case impostor

        var description: String {
            switch self {
            case .server(let index): Simulation.names[index]
            case .hostile: "mallory"
            case .impostor: "an impostor"
            }
        }
    }

    enum Message {
        /// The other side has connected.
        case opened
        case handshake([UInt8])
        /// A frame as its bytes on the wire.
        case frame([UInt8])
        case closed
    }

    /// One direction, named after the end to which it leads.
    struct Direction {
        var waiting: [(at: Int64, message: Message)] = []
        var head = 0
        /// Whether an event is scheduled that takes the next message out.
        var isScheduled = false
        /// The receiver has too much to do: nothing is taken out until it says so.
        var isPaused = false
        var lastArrival: Int64 = 0

        var isEmpty: Bool { head == waiting.count }
        var count: Int { waiting.count - head }

        mutating func take() -> Message? {
            guard head < waiting.count else { return nil }
            let message = waiting[head].message
            head += 1
            if head == waiting.count {
                waiting.removeAll(keepingCapacity: true)
                head = 0
            }
            return message
        }

        /// Loses everything after the first `count` messages.
        mutating func keep(_ count: Int) {
            if head + count < waiting.count { waiting.removeSubrange((head + count)...) }
        }
    }

    let number: Int
    /// The dialler and the dialled.
    let ends: (Party, Party)
    /// Which life of its server each end belongs to.
    let boots: (Int, Int)
    /// The dial that opened it, for the dialler's pauses.
    let dial: Int
    var isOpen = true
    var isEstablished = (false, false)
    /// It was closed because another channel with the same peer is kept.
    var isDuplicate = false
    var toFirst = Direction()
    var toSecond = Direction()

    init(number: Int, ends: (Party, Party), boots: (Int, Int), dial: Int) {
        self.number = number
        self.ends = ends
        self.boots = boots
        self.dial = dial
    }

    /// Each end has a channel id of its own, from which the wire can be told.
    func channel(first: Bool) -> ChannelID { ChannelID(UInt64(number) * 2 + (first ? 1 : 2)) }

    static func end(of channel: ChannelID) -> (wire: Int, first: Bool) {
        let index = Int(channel.number) - 1
        return (index / 2, index % 2 == 0)
    }

    func party(first: Bool) -> Party { first ? ends.0 : ends.1 }

    func boot(first: Bool) -> Int { first ? boots.0 : boots.1 }

    func isEstablished(first: Bool) -> Bool { first ? isEstablished.0 : isEstablished.1 }

    /// Changes the direction that leads to an end.
    func update<Result>(toFirst: Bool, _ change: (inout Direction) -> Result) -> Result {
        toFirst ? change(&self.toFirst) : change(&toSecond)
    }
}
