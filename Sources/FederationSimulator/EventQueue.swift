/// What happens next in simulated time. Events of the same moment happen in the order in which they were scheduled.
struct EventQueue<Event> {
    private struct Entry {
        let at: Int64
        let number: UInt64
        let event: Event

        static func < (left: Self, right: Self) -> Bool { (left.at, left.number) < (right.at, right.number) }
    }

    private var heap: [Entry] = []
    private var nextNumber: UInt64 = 0

    var count: Int { heap.count }

    mutating func schedule(_ event: Event, at time: Int64) {
        nextNumber += 1
        heap.append(Entry(at: time, number: nextNumber, event: event))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child] < heap[parent] else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes the earliest event out.
    mutating func next() -> (at: Int64, event: Event)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return (first.at, first.event) }
        heap[0] = last
        var parent = 0
        while true {
            var child = parent * 2 + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < heap[parent] else { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return (first.at, first.event)
    }
}

/// Simulated durations, in nanoseconds.
enum Span {
    static let microsecond: Int64 = 1_000
    static let millisecond: Int64 = 1_000_000
    static let second: Int64 = 1_000_000_000
}
