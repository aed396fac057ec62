import FederationModel

/// What others ask of this server: whether it reaches a peer that they do not.
///
/// Nothing is sent on the word of an asker but one heartbeat on a channel that stands anyway, and none while another is
/// on its way: a question cannot be made into more than one frame to somebody else. Bounded per asker and in all.
struct IndirectProbeAnswers: Sendable {
    /// A question that waits for the target's answer.
    struct Waiting: Hashable, Sendable {
        let asker: ServerID
        let request: UInt64
        let target: ServerID
        let deadline: Instant
    }

    /// What to do with a question.
    enum Verdict: Hashable, Sendable {
        /// Say so at once.
        case answer(isReached: Bool)
        /// Send the target a heartbeat if none is on its way; its answer, or the lack of one, answers.
        case probe
    }

    /// Questions of one peer in one interval.
    static let perAsker = 32
    /// Questions that may wait; more are answered with no.
    static let maximumWaiting = 256
    /// How long a target may take to answer.
    static let patience: Duration = .seconds(5)
    /// An answer of the target is news for so long.
    static let freshness: Duration = .seconds(1)

    private let interval: Duration
    private var waiting: [Waiting] = []
    private var asked: [ServerID: (since: Instant, count: Int)] = [:]

    init(interval: Duration) {
        self.interval = interval
    }

    var waitingCount: Int { waiting.count }

    /// When ``expire(at:)`` has something to do; all wait for the same time, so they are in order.
    var nextDeadline: Instant? { waiting.first?.deadline }

    /// A trusted peer asks.
    ///
    /// - Parameter heardAt: when the target last answered this server; nil when there is no open channel with Completed
    ///   trust to it, or it has not answered what was sent since.
    mutating func ask(
        _ request: UInt64, by asker: ServerID, about target: ServerID, isConnected: Bool, heardAt: Instant?,
        at now: Instant
    ) -> Verdict {
        var window = asked[asker] ?? (now, 0)
        if now >= window.since + interval { window = (now, 0) }
        window.count += 1
        asked[asker] = window
        guard window.count <= Self.perAsker, isConnected, asker != target else { return .answer(isReached: false) }
        if let heardAt, now < heardAt + Self.freshness { return .answer(isReached: true) }
        guard waiting.count < Self.maximumWaiting else { return .answer(isReached: false) }
        waiting.append(
            Waiting(asker: asker, request: request, target: target, deadline: now + min(Self.patience, interval)))
        return .probe
    }

    /// The target has answered: these may be told so.
    mutating func heard(from target: ServerID) -> [Waiting] {
        take { $0.target == target }
    }

    /// The target did not answer these in time.
    mutating func expire(at now: Instant) -> [Waiting] {
        take { $0.deadline <= now }
    }

    /// The peer is gone, with what it asked.
    mutating func forget(_ server: ServerID) {
        asked[server] = nil
        waiting.removeAll { $0.asker == server }
    }

    private mutating func take(_ isMeant: (Waiting) -> Bool) -> [Waiting] {
        guard !waiting.isEmpty else { return [] }
        let taken = waiting.filter(isMeant)
        if !taken.isEmpty { waiting.removeAll(where: isMeant) }
        return taken
    }
}
