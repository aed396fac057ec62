import FederationModel

/// Handoffs by id. One that is over is kept packed, and unpacked whenever somebody asks for it.
struct HandoffTable: Sendable {
    private var kept: [HandoffID: KeptHandoff] = [:]

    init() {}

    subscript(id: HandoffID) -> HandoffRecord? {
        get { kept[id]?.record }
        set { kept[id] = newValue.map(KeptHandoff.init) }
    }

    /// Of a handoff, which need not be unpacked for it.
    func state(of id: HandoffID) -> HandoffState? { kept[id]?.state }

    /// Makes room for so many, so that they need not be moved while they are added.
    mutating func reserveCapacity(_ count: Int) { kept.reserveCapacity(count) }

    /// Adds one that is over as it is.
    mutating func insert(_ handoff: PackedHandoff) { kept[handoff.id] = .over(handoff) }
}

/// A handoff as it is held in memory, in one word: few are open, and a million may be over.
enum KeptHandoff: Hashable, Sendable {
    indirect case open(HandoffRecord)
    case over(PackedHandoff)

    init(_ record: HandoffRecord) {
        self = record.state.isFinal ? .over(PackedHandoff(record)) : .open(record)
    }

    var state: HandoffState {
        switch self {
        case .open(let record): record.state
        case .over(let packed): packed.state
        }
    }

    var record: HandoffRecord {
        switch self {
        case .open(let record): record
        case .over(let packed): packed.record
        }
    }
}
