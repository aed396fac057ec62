import NIOCore
import Synchronization

/// What an event loop received and a task has not handled yet, in order, with the two marks between which reading
/// pauses.
///
/// One task reads. The queue itself takes everything it is given: whoever offers must stop when told to.
public final class Inbox<Element: Sendable>: AsyncSequence, Sendable {
    private struct State {
        var waiting = CircularBuffer<Element>()
        var reader: CheckedContinuation<Element?, Never>?
        var isFinished = false
        var isPaused = false
    }

    private enum Step {
        case give(Element?, resumes: Bool)
        case wait
    }

    private let state = Mutex(State())
    private let high: Int
    private let low: Int
    private let resume: @Sendable () -> Void

    /// - Parameters:
    ///   - high: Waiting elements above which ``offer(_:)`` asks for a pause.
    ///   - resume: Called when the queue has fallen to half of `high` after a pause; from any thread.
    public init(high: Int, resume: @escaping @Sendable () -> Void) {
        precondition(high > 0, "an inbox must hold something")
        self.high = high
        low = high / 2
        self.resume = resume
    }

    /// Adds an element; true when the giver must pause until `resume` is called. Nothing is added after ``finish()``.
    public func offer(_ element: Element) -> Bool {
        let (reader, pauses) = state.withLock { state -> (CheckedContinuation<Element?, Never>?, Bool) in
            guard !state.isFinished else { return (nil, false) }
            if let reader = state.reader {
                state.reader = nil
                return (reader, false)
            }
            state.waiting.append(element)
            if state.waiting.count > high { state.isPaused = true }
            return (nil, state.isPaused)
        }
        reader?.resume(returning: element)
        return pauses
    }

    /// Ends the sequence after what is waiting.
    public func finish() {
        let reader = state.withLock { state in
            state.isFinished = true
            let reader = state.reader
            state.reader = nil
            return reader
        }
        reader?.resume(returning: nil)
    }

    /// The next element; nil at the end, or when the task is cancelled.
    public func next() async -> Element? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let step = state.withLock { state -> Step in
                    if let element = state.waiting.popFirst() {
                        let resumes = state.isPaused && state.waiting.count <= low
                        if resumes { state.isPaused = false }
                        return .give(element, resumes: resumes)
                    }
                    guard !state.isFinished, !Task.isCancelled else { return .give(nil, resumes: false) }
                    precondition(state.reader == nil, "an inbox has one reader")
                    state.reader = continuation
                    return .wait
                }
                switch step {
                case .give(let element, let resumes):
                    continuation.resume(returning: element)
                    if resumes { resume() }
                case .wait:
                    break
                }
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

    public func makeAsyncIterator() -> Iterator {
        Iterator(inbox: self)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let inbox: Inbox<Element>

        public mutating func next() async -> Element? {
            await inbox.next()
        }
    }
}
