/// Values by id in one dense array, with a small index beside it: less memory than a dictionary of large values, and a
/// change of one value moves nothing.
struct SlotTable<ID: Hashable & Sendable, Value: Sendable>: Sendable {
    private var index: [ID: Int32] = [:]
    private var slots: [Value?] = []
    private var free: [Int32] = []

    init() {}

    var count: Int { index.count }

    /// Setting inserts, replaces or, with nil, removes.
    subscript(id: ID) -> Value? {
        get { index[id].flatMap { slots[Int($0)] } }
        set {
            if let slot = index[id] {
                slots[Int(slot)] = newValue
                if newValue == nil {
                    index[id] = nil
                    free.append(slot)
                }
            } else if let newValue {
                if let slot = free.popLast() {
                    slots[Int(slot)] = newValue
                    index[id] = slot
                } else {
                    index[id] = Int32(slots.count)
                    slots.append(newValue)
                }
            }
        }
    }

    /// Changes a value in place; nil when there is none.
    mutating func update<Result, Failure: Error>(
        _ id: ID, _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard let slot = index[id], var value = slots[Int(slot)].take() else { return nil }
        defer { slots[Int(slot)] = value }
        return try body(&value)
    }
}
