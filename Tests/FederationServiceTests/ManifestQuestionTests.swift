import FederationCore
import FederationModel
import FederationWire
import ServiceTestKit
import TestKit
import Testing

@testable import FederationService

/// Which manifest a world has is asked of the peer again for each crossing, and once for all who come meanwhile.
@Suite("FederationServer, questions for manifests", .timeLimit(.minutes(patience)))
struct ManifestQuestionTests {
    /// Begins a player's crossing, and waits until so many wait for the next question.
    private func travel(
        _ name: String, of pair: TestPair, through portal: String = "gate", waiting: Int
    ) async throws -> AsyncStream<PlayerUpdate> {
        try await pair.alpha.enter(name)
        let updates = try await pair.alpha.server.updates(of: try pair.alpha.player(name))
        _ = try await pair.alpha.travel(name, through: portal)
        try await eventually { await pair.alpha.server.manifestQuestions.waiting.values.map(\.count) == [waiting] }
        return updates
    }

    /// Would fail if each of them asked.
    @Test("players who come while a world is asked about share the next question")
    func share() async throws {
        let pair = try await TestPair.make()
        pair.link.there.hold("worldRequest")
        var followed = [try await travel("ada", of: pair, waiting: 0)]
        for (number, name) in ["bob", "cyd", "dan"].enumerated() {
            followed.append(try await travel(name, of: pair, waiting: number + 1))
        }
        #expect(pair.link.there.sent.count { $0 == "worldRequest" } == 1)
        pair.link.there.release()
        for updates in followed { try await updates.until(.completed) }
        #expect(pair.link.there.sent.count { $0 == "worldRequest" } == 2)
        #expect(await pair.alpha.server.manifestQuestions.waiting.isEmpty)
    }

    /// Would fail if they were told the answer to the question that was under way when they came.
    @Test("who comes while a world is asked about is told what is true then, and not what was before")
    func fresh() async throws {
        let pair = try await TestPair.make()
        pair.link.back.hold("worldResponse")
        let first = try await travel("ada", of: pair, waiting: 0)
        // The answer is on its way when the world becomes another one.
        try await eventually { pair.link.back.sent.contains("worldResponse") }
        let later = Array("later".utf8)
        try await pair.beta.publish("forest", ["scene.json": later])
        let second = try await travel("bob", of: pair, waiting: 1)
        pair.link.back.release()
        try await second.until(.completed)
        #expect(try await pair.alpha.assets.read(ContentHash.of(later), offset: 0, length: .max) == later)
        try await first.until(.completed)
    }

    /// Would fail if a refusal that answers the question before were theirs as well.
    @Test("who comes while a world that is not there yet is asked about crosses, if it is published meanwhile")
    func published() async throws {
        let pair = try await TestPair.make()
        try await pair.alpha.route("bridge", to: pair.beta, world: "marsh")
        pair.link.back.hold("worldResponse")
        let first = try await travel("ada", of: pair, through: "bridge", waiting: 0)
        // The refusal is on its way when the world is published.
        try await eventually { pair.link.back.sent.contains("worldResponse") }
        try await pair.beta.publish("marsh")
        let second = try await travel("bob", of: pair, through: "bridge", waiting: 1)
        pair.link.back.release()
        try await second.until(.completed)
        #expect(try await first.until(.returned).last?.refusal?.code == "world.unknown")
        #expect(await pair.alpha.server.manifestQuestions.waiting.isEmpty)
    }

    /// Would fail if those who wait asked a silent peer once more, or were forgotten.
    @Test("of a question that nobody answers all who wait hear at once, and it is over")
    func silent() async throws {
        let pair = try await TestPair.make()
        pair.link.there.decide { $0.name == "worldRequest" ? .lost : .delivered }
        let first = try await travel("ada", of: pair, waiting: 0)
        let second = try await travel("bob", of: pair, waiting: 1)
        await pair.alpha.clock.sleeper(for: .seconds(10))
        pair.alpha.clock.advance(by: .seconds(10))
        for updates in [first, second] {
            #expect(try await updates.until(.returned).last?.refusal?.code == "peer.silent")
        }
        #expect(pair.link.there.sent.count { $0 == "worldRequest" } == 1)
        #expect(await pair.alpha.server.manifestQuestions.waiting.isEmpty)
    }
}
