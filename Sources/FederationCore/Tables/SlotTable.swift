import FederationModel

/// Values by id in one dense array, found by the hash that the id carries. An entry takes what its value takes, 16 bytes
/// for the text of its id, and 6 to 11 in the index. Its slot's number stays while it is there, so that other tables can
/// refer to it in four bytes.
struct SlotTable<ID: HashedIdentifier, Value: Sendable>: Sendable {
    private struct Slot {
        /// Of the id, without its hash, which is made again where a slot is all that is known.
        var text: String
        /// nil where the slot is free.
        var value: Value?
    }

    private var index = SlotIndex()
    private var slots: [Slot] = []
    private var free: [UInt32] = []

    init() {}

    var count: Int { index.count }

    // MARK: By id

    @inline(__always)
    func slot(of id: ID) -> Int? {
        index.slot(hash: id.textHash) { slots[$0].text == id.rawValue }
    }

    /// Setting inserts, replaces or, with nil, removes.
    subscript(id: ID) -> Value? {
        get { slot(of: id).flatMap { slots[$0].value } }
        set {
            switch (slot(of: id), newValue) {
            case (let slot?, nil): remove(slot)
            case (let slot?, let value?): slots[slot].value = value
            case (nil, let value?): insert(id, value)
            case (nil, nil): break
            }
        }
    }

    private static func hash(_ text: String) -> Int { ID(unchecked: text).textHash }

    // MARK: By slot

    func id(in slot: Int) -> ID { ID(unchecked: slots[slot].text) }

    /// The text of the id in a slot.
    @inline(__always)
    func text(in slot: Int) -> String { slots[slot].text }

    /// The value in a slot that is taken. Changed in place.
    subscript(slot slot: Int) -> Value {
        @inline(__always) get {
            guard let value = slots[slot].value else { preconditionFailure("the slot is free") }
            return value
        }
        set { slots[slot].value = newValue }
    }

    /// Changes the value in a slot that is taken, in place.
    @inline(__always)
    mutating func update<Result, Failure: Error>(
        slot: Int, _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard var value = slots[slot].value.take() else { preconditionFailure("the slot is free") }
        defer { slots[slot].value = value }
        return try body(&value)
    }

    /// Makes room for so many entries, so that they need not be moved while they are added.
    mutating func reserveCapacity(_ count: Int) { slots.reserveCapacity(count) }

    /// Adds an id that is not there.
    ///
    /// - Returns: its slot.
    @discardableResult
    mutating func insert(_ id: ID, _ value: Value) -> Int {
        let slot = free.popLast().map { Int($0) } ?? slots.count
        do {
            // Its own scope: a copy of the array that outlived it would have the next change copy every entry.
            let slots = slots
            index.insert(slot, hash: id.textHash) { Self.hash(slots[$0].text) }
        }
        let entry = Slot(text: id.rawValue, value: value)
        if slot < slots.count { slots[slot] = entry } else { slots.append(entry) }
        return slot
    }

    /// Empties a slot that is taken.
    mutating func remove(_ slot: Int) {
        do {
            let slots = slots
            index.remove(slot, hash: Self.hash(slots[slot].text)) { Self.hash(slots[$0].text) }
        }
        slots[slot] = Slot(text: "", value: nil)
        free.append(UInt32(slot))
    }
}
