/// Elements in an order that the caller keeps, so that a page of a listing costs what it holds, not what the table holds.
///
/// They stand in chunks of bounded size: finding a place takes two binary searches, inserting or removing there moves at
/// most a chunk and, rarely, the list of chunks. At a million elements that is a few thousand chunks. The order is the
/// caller's, who asks by a predicate that holds for the elements up to a place and for none after it; so an element may
/// be a mere number of what is ordered.
struct SortedChunks<Element: Sendable>: Sendable {
    /// Where an element stands or would stand.
    struct Place {
        fileprivate var chunk: Int
        fileprivate var position: Int
    }

    /// None is empty.
    private var chunks: [[Element]] = []
    private(set) var count = 0

    /// Elements in a full chunk; it is then split in two.
    private static var chunkLimit: Int { 512 }

    init() {}

    /// The elements in the order in which they come.
    init(_ elements: [Element]) {
        count = elements.count
        chunks = stride(from: 0, to: count, by: Self.chunkLimit).map { start in
            Array(elements[start..<min(start + Self.chunkLimit, elements.count)])
        }
    }

    var isEmpty: Bool { count == 0 }

    /// The place of the first element.
    var start: Place { Place(chunk: 0, position: 0) }

    /// The first place whose element is not before; behind the last one when all are.
    @inline(__always)
    func place(where isBefore: (Element) -> Bool) -> Place {
        let chunk = Self.first(in: chunks.count) { isBefore(chunks[$0][chunks[$0].count - 1]) }
        guard chunk < chunks.count else { return Place(chunk: chunk, position: 0) }
        let elements = chunks[chunk]
        return Place(chunk: chunk, position: Self.first(in: elements.count) { isBefore(elements[$0]) })
    }

    /// The first number up to `count` for which `isBefore` does not hold.
    @inline(__always)
    private static func first(in count: Int, _ isBefore: (Int) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// nil behind the last one.
    func element(at place: Place) -> Element? {
        guard place.chunk < chunks.count, place.position < chunks[place.chunk].count else { return nil }
        return chunks[place.chunk][place.position]
    }

    /// Puts an element before the one that stands there.
    mutating func insert(_ element: Element, at place: Place) {
        count += 1
        guard !chunks.isEmpty else {
            chunks = [[element]]
            return
        }
        var place = place
        if place.chunk == chunks.count {
            place.chunk -= 1
            place.position = chunks[place.chunk].count
        }
        chunks[place.chunk].insert(element, at: place.position)
        if chunks[place.chunk].count > Self.chunkLimit { split(place) }
    }

    /// Puts an element behind all others.
    mutating func append(_ element: Element) {
        insert(element, at: Place(chunk: chunks.count, position: 0))
    }

    /// Removes the element that stands there.
    mutating func remove(at place: Place) {
        chunks[place.chunk].remove(at: place.position)
        count -= 1
        if chunks[place.chunk].count < Self.chunkLimit / 8 { merge(place.chunk) }
    }

    /// The first `limit` elements from a place on, up to another or to the end.
    func page(from place: Place, to end: Place? = nil, limit: Int) -> [Element] {
        guard limit > 0, count > 0 else { return [] }
        var page: [Element] = []
        var place = place
        while place.chunk < chunks.count, page.count < limit {
            var elements = chunks[place.chunk][...]
            if let end, end.chunk <= place.chunk {
                elements = end.chunk < place.chunk ? [] : elements[..<end.position]
            }
            page.append(contentsOf: elements.dropFirst(place.position).prefix(limit - page.count))
            place = Place(chunk: place.chunk + 1, position: 0)
        }
        return page
    }

    /// Elements that arrive in order fill their chunks: a chunk that overflows at its end loses only the new one.
    private mutating func split(_ place: Place) {
        let chunk = place.chunk
        let isAppending = place.position == chunks[chunk].count - 1
        let cut = isAppending ? place.position : chunks[chunk].count / 2
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
