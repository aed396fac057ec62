/// The handoffs of a store, in the order in which they were added. Those that are over are held packed, as the ledger
/// that is made of them holds them: an element is made anew whenever it is looked at.
public struct StoredHandoffs: RandomAccessCollection, MutableCollection, Hashable, Sendable, ExpressibleByArrayLiteral {
    private(set) var kept: [KeptHandoff] = []

    public init() {}

    public init(_ records: some Sequence<HandoffRecord>) { kept = records.map(KeptHandoff.init) }

    public init(arrayLiteral records: HandoffRecord...) { self.init(records) }

    public var startIndex: Int { 0 }

    public var endIndex: Int { kept.count }

    public subscript(position: Int) -> HandoffRecord {
        get { kept[position].record }
        set { kept[position] = KeptHandoff(newValue) }
    }

    /// Adds one, whose id none has yet.
    public mutating func append(_ record: HandoffRecord) { kept.append(KeptHandoff(record)) }
}
