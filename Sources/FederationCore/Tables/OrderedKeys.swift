/// A set of keys that is kept sorted, so that a page of a listing costs what it holds, not what the table holds.
///
/// The keys stand in sorted chunks of bounded size: finding one takes two binary searches, inserting or removing one
/// moves at most a chunk and, rarely, the list of chunks. At a million keys that is a few thousand chunks.
struct OrderedKeys<Key: Comparable & Sendable>: Sendable {
    /// None is empty; the last key of each is before the first of the next.
    private var chunks: [[Key]] = []
    private(set) var count = 0

    /// Keys in a full chunk; it is then split in two.
    private static var chunkLimit: Int { 512 }

    init() {}

    var isEmpty: Bool { count == 0 }

    func contains(_ key: Key) -> Bool {
        let chunk = chunkIndex(for: key)
        guard chunk < chunks.count else { return false }
        let position = Self.position(of: key, in: chunks[chunk])
        return position < chunks[chunk].count && chunks[chunk][position] == key
    }

    /// Whether the key is new.
    @discardableResult
    mutating func insert(_ key: Key) -> Bool {
        guard !chunks.isEmpty else {
            chunks = [[key]]
            count = 1
            return true
        }
        let chunk = min(chunkIndex(for: key), chunks.count - 1)
        let position = Self.position(of: key, in: chunks[chunk])
        guard position == chunks[chunk].count || chunks[chunk][position] != key else { return false }
        chunks[chunk].insert(key, at: position)
        count += 1
        if chunks[chunk].count > Self.chunkLimit { split(chunk, at: position) }
        return true
    }

    /// Whether the key was there.
    @discardableResult
    mutating func remove(_ key: Key) -> Bool {
        let chunk = chunkIndex(for: key)
        guard chunk < chunks.count else { return false }
        let position = Self.position(of: key, in: chunks[chunk])
        guard position < chunks[chunk].count, chunks[chunk][position] == key else { return false }
        chunks[chunk].remove(at: position)
        count -= 1
        if chunks[chunk].count < Self.chunkLimit / 8 { merge(chunk) }
        return true
    }

    /// The first `limit` keys after `key`, or from the start.
    func page(after key: Key?, limit: Int) -> [Key] {
        guard limit > 0, count > 0 else { return [] }
        var chunk = 0
        var position = 0
        if let key {
            chunk = chunkIndex(for: key)
            guard chunk < chunks.count else { return [] }
            position = Self.position(of: key, in: chunks[chunk])
            if position < chunks[chunk].count, chunks[chunk][position] == key { position += 1 }
        }
        var page: [Key] = []
        page.reserveCapacity(min(limit, count))
        while chunk < chunks.count, page.count < limit {
            page.append(contentsOf: chunks[chunk][position...].prefix(limit - page.count))
            chunk += 1
            position = 0
        }
        return page
    }

    /// Every key, sorted.
    var all: [Key] { page(after: nil, limit: count) }

    /// The first chunk that may hold `key`: the first whose last key is not before it.
    private func chunkIndex(for key: Key) -> Int {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle][chunks[middle].count - 1] < key {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    private static func position(of key: Key, in chunk: [Key]) -> Int {
        var low = 0
        var high = chunk.count
        while low < high {
            let middle = (low + high) / 2
            if chunk[middle] < key {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// Keys that arrive in order fill their chunks: a chunk that overflows at its end loses only the new key.
    private mutating func split(_ chunk: Int, at position: Int) {
        let isAppending = position == chunks[chunk].count - 1
        let cut = isAppending ? position : chunks[chunk].count / 2
        let tail = Array(chunks[chunk][cut...])
        chunks[chunk].removeSubrange(cut...)
        chunks.insert(tail, at: chunk + 1)
    }

    /// Joins a small chunk to a neighbour that has room, so that many removals do not leave many small chunks.
    private mutating func merge(_ chunk: Int) {
        if chunks[chunk].isEmpty {
            chunks.remove(at: chunk)
            return
        }
        let left = chunk > 0 ? chunk - 1 : chunk
        guard left + 1 < chunks.count, chunks[left].count + chunks[left + 1].count <= Self.chunkLimit / 2 else {
            return
        }
        let tail = chunks.remove(at: left + 1)
        chunks[left].append(contentsOf: tail)
    }
}

extension OrderedKeys {
    /// The first `limit` keys after `key` of several disjoint sets taken together.
    static func page(of sets: [OrderedKeys], after key: Key?, limit: Int) -> [Key] {
        var keys = sets.flatMap { $0.page(after: key, limit: limit) }
        keys.sort()
        return Array(keys.prefix(max(0, limit)))
    }
}
