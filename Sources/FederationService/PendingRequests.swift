import FederationModel
import FederationWire

/// Questions to peers that wait for their answers. What ends a wait is taken out here; the server tells who waits.
struct PendingRequests {
    /// What a peer answered.
    enum Answer: Sendable {
        case asset(FederationFrame.AssetResponse.Answer)
        case world(FederationFrame.WorldResponse.Answer)
    }

    /// Why there is no answer.
    enum Failure: Error, Hashable, Sendable {
        case disconnected
        case timeout
    }

    typealias Outcome = Result<Answer, Failure>

    enum Waiter {
        case question(CheckedContinuation<Outcome, Never>)
        case chunk(ChunkRequest)
    }

    private struct Pending {
        let peer: ServerID
        let deadline: Instant
        let waiter: Waiter
    }

    private var pending: [UInt64: Pending] = [:]
    private var last: UInt64 = 0

    var isEmpty: Bool { pending.isEmpty }

    /// When the next request is answered too late.
    var nextDeadline: Instant? { pending.values.map(\.deadline).min() }

    mutating func nextRequest() -> UInt64 {
        last += 1
        return last
    }

    mutating func wait(for request: UInt64, from peer: ServerID, until deadline: Instant, _ waiter: Waiter) {
        pending[request] = Pending(peer: peer, deadline: deadline, waiter: waiter)
    }

    /// Who waits for an answer that has come. It counts only when it comes from the peer that was asked; others are dropped.
    mutating func take(_ request: UInt64, from peer: ServerID) -> Waiter? {
        guard pending[request]?.peer == peer else { return nil }
        return take(request)
    }

    mutating func take(_ request: UInt64) -> Waiter? { pending.removeValue(forKey: request)?.waiter }

    /// Who has waited for too long, in the order in which they asked; likewise the next two.
    mutating func takeLate(at now: Instant) -> [Waiter] { take { $0.deadline <= now } }

    /// A channel to a peer is gone: nothing that was asked there will be answered. What was meanwhile asked on the one that has
    /// replaced it is taken as well, and asked again.
    mutating func takeAll(of peer: ServerID) -> [Waiter] { take { $0.peer == peer } }

    /// Nothing will be answered any more.
    mutating func takeAll() -> [Waiter] { take { _ in true } }

    private mutating func take(_ isOver: (Pending) -> Bool) -> [Waiter] {
        pending.filter { isOver($0.value) }.keys.sorted().compactMap { take($0) }
    }

    /// Forgets what a fetch has asked for.
    ///
    /// - Returns: how many requests that were.
    mutating func withdraw(fetch: UInt64) -> Int {
        let withdrawn = take { pending in
            guard case .chunk(let request) = pending.waiter else { return false }
            return request.fetch == fetch
        }
        return withdrawn.count
    }
}
