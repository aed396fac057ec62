import FederationModel
import FederationWire

/// Questions to peers that wait for their answers.
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

    private struct Waiter {
        let peer: ServerID
        let continuation: CheckedContinuation<Result<Answer, Failure>, Never>
    }

    private var waiting: [UInt64: Waiter] = [:]
    private var next: UInt64 = 0

    mutating func nextRequest() -> UInt64 {
        next += 1
        return next
    }

    mutating func wait(
        for request: UInt64, from peer: ServerID, _ continuation: CheckedContinuation<Result<Answer, Failure>, Never>
    ) {
        waiting[request] = Waiter(peer: peer, continuation: continuation)
    }

    /// An answer counts only when it comes from the peer that was asked; others are dropped.
    mutating func resolve(_ request: UInt64, from peer: ServerID, with answer: Answer) {
        guard let waiter = waiting[request], waiter.peer == peer else { return }
        waiting[request] = nil
        waiter.continuation.resume(returning: .success(answer))
    }

    mutating func expire(_ request: UInt64) {
        waiting.removeValue(forKey: request)?.continuation.resume(returning: .failure(.timeout))
    }

    /// Nothing will be answered any more.
    mutating func failAll() {
        for waiter in waiting.values { waiter.continuation.resume(returning: .failure(.disconnected)) }
        waiting = [:]
    }

    /// The channel to a peer is gone: nothing that was asked there will be answered.
    mutating func fail(_ peer: ServerID) {
        for (request, waiter) in waiting where waiter.peer == peer {
            waiting[request] = nil
            waiter.continuation.resume(returning: .failure(.disconnected))
        }
    }
}
