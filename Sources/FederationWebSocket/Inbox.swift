public import NIOCore
public import Synchronization

/// What an event loop received and a task has not handled yet, in order, with the two marks between which reading
/// pauses.
///
/// One task reads. The queue itself takes everything it is given: whoever offers must stop when told to.
///
/// It is inlinable, so that each module that uses it has it for its own element: without, the runtime looked up generic types
/// for every element, which was a twelfth of what a channel costs for a small message; see BENCHMARKS.md.
public final class Inbox<Element: Sendable>: AsyncSequence, Sendable {
    @usableFromInline
    struct State {
        @usableFromInline var waiting = CircularBuffer<Element>()
        @usableFromInline var reader: CheckedContinuation<Element?, Never>?
        @usableFromInline var isFinished = false
        @usableFromInline var isPaused = false
        /// Elements that were handed out behind the one that the reader is at: they count as waiting until it asks again.
        @usableFromInline var handedOut = 0

        @inlinable
        init() {}

        /// The reader if one waits, with what it gets: the first element, or nothing at the end.
        @inlinable
        mutating func takeReader() -> Reader? {
            guard let continuation = reader.take() else { return nil }
            return Reader(continuation: continuation, element: waiting.popFirst())
        }
    }

    /// Resumed outside the lock.
    @usableFromInline
    struct Reader {
        @usableFromInline let continuation: CheckedContinuation<Element?, Never>
        @usableFromInline let element: Element?

        @inlinable
        init(continuation: CheckedContinuation<Element?, Never>, element: Element?) {
            self.continuation = continuation
            self.element = element
        }

        @inlinable
        func resume() {
            continuation.resume(returning: element)
        }
    }

    @usableFromInline let state = Mutex(State())
    @usableFromInline let high: Int
    @usableFromInline let low: Int
    /// Elements that are put before a waiting reader is woken without being asked for.
    @usableFromInline let burst: Int
    @usableFromInline let resume: @Sendable () -> Void

    /// - Parameters:
    ///   - high: Waiting elements above which ``offer(_:)`` asks for a pause.
    ///   - resume: Called when the queue has fallen to half of `high` after a pause; from any thread.
    @inlinable
    public init(high: Int, resume: @escaping @Sendable () -> Void) {
        precondition(high > 0, "an inbox must hold something")
        self.high = high
        low = high / 2
        burst = Swift.min(32, high)
        self.resume = resume
    }

    /// Adds an element; true when the giver must pause until `resume` is called. Nothing is added after ``finish()``.
    @inlinable
    public func offer(_ element: Element) -> Bool {
        let pauses = put(element)
        wake()
        return pauses
    }

    /// Adds an element like ``offer(_:)``, for a reader that need not wake up for it alone: ``wake()`` must follow as soon as
    /// no more comes at once. Waking a task costs more than most of what it is woken for.
    @inlinable
    public func put(_ element: Element) -> Bool {
        let (reader, pauses) = state.withLock { state -> (Reader?, Bool) in
            guard !state.isFinished else { return (nil, false) }
            state.waiting.append(element)
            // Who waits has seen an empty queue: it cannot be the reader that is too slow.
            guard state.reader != nil else {
                if state.waiting.count + state.handedOut > high { state.isPaused = true }
                return (nil, state.isPaused)
            }
            return (state.waiting.count >= burst ? state.takeReader() : nil, false)
        }
        reader?.resume()
        return pauses
    }

    /// Wakes the reader if anything waits for it.
    @inlinable
    public func wake() {
        let reader = state.withLock { state in state.waiting.isEmpty ? nil : state.takeReader() }
        reader?.resume()
    }

    /// Elements that wait.
    var count: Int { state.withLock { $0.waiting.count } }

    /// Whether a reader waits.
    var isAwaited: Bool { state.withLock { $0.reader != nil } }

    /// Ends the sequence after what is waiting.
    @inlinable
    public func finish() {
        let reader = state.withLock { state in
            state.isFinished = true
            return state.takeReader()
        }
        reader?.resume()
    }

    /// The next element; nil at the end, or when the task is cancelled.
    @inlinable
    public func next() async -> Element? {
        if let element = takeWaiting() { return element }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    guard state.waiting.isEmpty, !state.isFinished, !Task.isCancelled else { return true }
                    precondition(state.reader == nil, "an inbox has one reader")
                    state.reader = continuation
                    return false
                }
                if isOver { continuation.resume(returning: takeWaiting()) }
            }
        } onCancel: {
            let reader = state.withLock { state in
                let reader = state.reader
                state.reader = nil
                return reader
            }
            reader?.resume(returning: nil)
        }
    }

    /// The next element with what waits behind it, at most `count` of them, for a reader that handles them together; empty
    /// at the end, or when the task is cancelled. All but one count as waiting until the reader asks again.
    ///
    /// - Parameters:
    ///   - count: at least 1.
    ///   - weight: of an element, in whatever unit. Together they weigh at most `bound`, unless the first alone weighs more: what
    ///     is handed out together also stays in memory together.
    @inlinable
    public func next(
        atMost count: Int, weighing weight: @Sendable (Element) -> Int = { _ in 0 }, upTo bound: Int = .max
    ) async -> [Element] {
        precondition(count > 0, "a reader takes at least one element")
        guard let first = await next() else { return [] }
        var room = bound - Swift.min(bound, weight(first))
        let behind = state.withLock { state in
            let behind = Array(
                state.waiting.prefix(count - 1).prefix { element in
                    let weight = weight(element)
                    guard weight <= room else { return false }
                    room -= weight
                    return true
                })
            state.waiting.removeFirst(behind.count)
            state.handedOut = behind.count
            return behind
        }
        return [first] + behind
    }

    @inlinable
    func takeWaiting() -> Element? {
        let (element, resumes) = state.withLock { state -> (Element?, Bool) in
            state.handedOut = 0
            let element = state.waiting.popFirst()
            let resumes = state.isPaused && state.waiting.count <= low
            if resumes { state.isPaused = false }
            return (element, resumes)
        }
        if resumes { resume() }
        return element
    }

    @inlinable
    public func makeAsyncIterator() -> Iterator {
        Iterator(inbox: self)
    }

    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let inbox: Inbox<Element>

        @inlinable
        init(inbox: Inbox<Element>) {
            self.inbox = inbox
        }

        @inlinable
        public mutating func next() async -> Element? {
            await inbox.next()
        }
    }
}
