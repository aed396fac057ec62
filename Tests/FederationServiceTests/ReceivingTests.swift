import FederationCore
import FederationModel
import FederationWire
import ServiceTestKit
import TestKit
import Testing

@testable import FederationService

extension FederationServer {
    /// The numbers of the answers that wait for the store, in order.
    private var waitingAnswers: [UInt64] {
        queue.flatMap(\.effects).compactMap { effect in
            if case .send(.worldResponse(let response), on: _) = effect { return response.request }
            if case .send(.acknowledgement(let heartbeat), on: _) = effect { return heartbeat.sequence }
            return nil
        }
    }

    /// Receives frames while another caller waits for its turn.
    ///
    /// - Returns: which of them were answered when the other had its turn, and in the end.
    fileprivate func receiveBesideOther(
        _ frames: [FederationFrame], on channel: ChannelID
    ) async -> (atTurn: [UInt64], atEnd: [UInt64]) {
        // Stands in the actor's queue from here on: who runs on the actor need not be waited for.
        let other = Task { waitingAnswers }
        await receive(frames, on: channel)
        let atEnd = waitingAnswers
        return (await other.value, atEnd)
    }
}

@Suite("FederationServer, receiving", .timeLimit(.minutes(patience)))
struct ReceivingTests {
    /// Would fail if frames were taken in another order, if a peer kept everybody else out for as long as all takes
    /// that it has sent at once, or if each heartbeat and chunk cost a visit of its own.
    @Test(
        "frames that came together are taken in order, and others have their turn after one that takes long",
        arguments: [false, true])
    func turns(areLight: Bool) async throws {
        let pair = try await TestPair.make()
        let world = try #require(WorldID("forest"))
        let now = pair.alpha.clock.now().timestamp
        let numbers = Array(UInt64(101)...104)
        let frames = numbers.map { number -> FederationFrame in
            areLight
                ? .heartbeat(.init(sequence: number, sentAt: now)) : .worldRequest(.init(request: number, world: world))
        }
        // While the store is held, what is answered waits where it can be seen.
        await pair.alpha.store.hold()
        let entering = Task { try await pair.alpha.enter("bob") }
        await pair.alpha.store.waitUntilHeld()
        let (atTurn, atEnd) = await pair.alpha.server.receiveBesideOther(frames, on: ChannelID(1))
        #expect(atTurn == (areLight ? numbers : [101]))
        #expect(atEnd == numbers)
        await pair.alpha.store.release()
        _ = try await entering.value
    }
}
