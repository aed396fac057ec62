import FederationModel

/// What this server asks of others about peers that it is about to give up: whether they reach them (indirect probes, as
/// in SWIM, Das et al. 2002, §3.1).
///
/// Two peers with Completed trust are asked per failure. One who reaches the peer keeps it from being `unreachable` for
/// two intervals, and all of them together for ``vouchedIntervals``; then it is, whatever they say. Nobody's word makes
/// a peer healthy.
struct IndirectProbeQuestions: Sendable {
    /// One question to one server.
    struct Question: Hashable, Sendable {
        let request: UInt64
        let asked: ServerID
    }

    private struct Open: Sendable {
        let target: ServerID
        let asked: ServerID
        let deadline: Instant
    }

    /// Servers asked about one peer at a time.
    static let helpers = 2
    /// Questions that may wait for an answer; more are not asked.
    static let maximumOpen = 1_024
    /// Intervals for which others' word counts, from the first time until the peer answers again.
    static let vouchedIntervals = 10

    private let interval: Duration
    private var open: [UInt64: Open] = [:]
    private var nextRequest: UInt64 = 1
    /// So that the same two are not asked about everybody.
    private var turn = 0
    /// When others' word first counted for a peer that has not answered since.
    private var vouchedSince: [ServerID: Instant] = [:]

    /// - Parameter interval: between two failures by silence.
    init(interval: Duration) {
        self.interval = interval
    }

    var openCount: Int { open.count }

    /// Whom to ask about a peer now.
    ///
    /// - Parameter candidates: trusted, connected and healthy peers other than `target`, sorted.
    mutating func ask(about target: ServerID, of candidates: [ServerID], at now: Instant) -> [Question] {
        open = open.filter { $0.value.deadline > now }
        let count = min(Self.helpers, candidates.count, Self.maximumOpen - open.count)
        guard count > 0, mayVouch(for: target, at: now) else { return [] }
        turn &+= 1
        return (0..<count).map { offset in
            let asked = candidates[(turn &+ offset) % candidates.count]
            let request = nextRequest
            nextRequest += 1
            open[request] = Open(target: target, asked: asked, deadline: now + interval)
            return Question(request: request, asked: asked)
        }
    }

    /// Somebody says that they reach a peer, or that they do not.
    ///
    /// - Returns: the peer, and until when this word counts; nil when it was not asked, comes too late, says no, or when
    ///   such words have counted long enough.
    mutating func answered(
        _ request: UInt64, by server: ServerID, isReached: Bool, at now: Instant
    ) -> (target: ServerID, until: Instant)? {
        guard let question = open[request], question.asked == server else { return nil }
        open[request] = nil
        let target = question.target
        guard isReached, now < question.deadline, mayVouch(for: target, at: now) else { return nil }
        let since = vouchedSince[target] ?? now
        vouchedSince[target] = since
        return (target, min(now + interval * 2, since + interval * Self.vouchedIntervals))
    }

    private func mayVouch(for target: ServerID, at now: Instant) -> Bool {
        vouchedSince[target].map { now < $0 + interval * Self.vouchedIntervals } ?? true
    }

    /// The peer has answered this server itself, or is one no more.
    mutating func settle(_ target: ServerID) {
        vouchedSince[target] = nil
    }
}
