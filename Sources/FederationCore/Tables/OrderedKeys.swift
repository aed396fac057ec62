/// A set of keys that is kept sorted, so that a page of a listing costs what it holds, not what the table holds.
struct OrderedKeys<Key: Comparable & Sendable>: Sendable {
    private var chunks = SortedChunks<Key>()

    init() {}

    /// The set of `keys`, which come in any order, each once.
    init(_ keys: [Key]) { chunks = SortedChunks(keys.sorted()) }

    var count: Int { chunks.count }

    var isEmpty: Bool { chunks.isEmpty }

    func contains(_ key: Key) -> Bool { chunks.element(at: place(of: key)) == key }

    /// Whether the key is new.
    @discardableResult
    mutating func insert(_ key: Key) -> Bool {
        let place = place(of: key)
        guard chunks.element(at: place) != key else { return false }
        chunks.insert(key, at: place)
        return true
    }

    /// Whether the key was there.
    @discardableResult
    mutating func remove(_ key: Key) -> Bool {
        let place = place(of: key)
        guard chunks.element(at: place) == key else { return false }
        chunks.remove(at: place)
        return true
    }

    /// The first `limit` keys after `key`, or from the start.
    func page(after key: Key?, limit: Int) -> [Key] {
        chunks.page(from: key.map { key in chunks.place { $0 <= key } } ?? chunks.start, limit: limit)
    }

    /// Every key, sorted.
    var all: [Key] { page(after: nil, limit: count) }

    private func place(of key: Key) -> SortedChunks<Key>.Place { chunks.place { $0 < key } }
}

extension OrderedKeys {
    /// The first `limit` keys after `key` of several disjoint sets taken together.
    static func page(of sets: [OrderedKeys], after key: Key?, limit: Int) -> [Key] {
        var keys = sets.flatMap { $0.page(after: key, limit: limit) }
        keys.sort()
        return Array(keys.prefix(max(0, limit)))
    }
}
