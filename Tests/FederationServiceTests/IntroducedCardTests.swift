import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import FederationWire
import ServiceTestKit
import Synchronization
import TestKit
import Testing

@testable import FederationService

/// Shows one card at some addresses. Something happens before the last of them answers.
private final class SlowCards: CardSource {
    private struct Script {
        var card = ""
        var places: [Endpoint] = []
        var meanwhile: @Sendable () async throws -> Void = {}
    }

    private let script = Mutex(Script())
    private let visits = Mutex<[Endpoint]>([])

    var visited: [Endpoint] { visits.withLock { $0 } }

    func serve(_ card: String, at places: [Endpoint], meanwhile: @escaping @Sendable () async throws -> Void) {
        script.withLock { $0 = Script(card: card, places: places, meanwhile: meanwhile) }
    }

    func card(at endpoint: Endpoint) async throws(Refusal) -> String {
        visits.withLock { $0.append(endpoint) }
        let script = script.withLock { $0 }
        guard script.places.contains(endpoint) else {
            throw Refusal(.conflict, code: "endpoint.unproven", reason: "nothing is there", remedy: "run a server")
        }
        if endpoint == script.places.last {
            do {
                try await script.meanwhile()
            } catch {
                Issue.record("\(error)")
            }
        }
        return script.card
    }
}

@Suite("Strangers' cards that a registry looks for", .timeLimit(.minutes(patience)))
struct IntroducedCardTests {
    /// Alpha serves a registry and has two introducers, beta and delta. Beta knows gamma, which alpha does not know.
    fileprivate struct Scene: Sendable {
        let alpha: TestServer
        let beta: TestServer
        let delta: TestServer
        let gamma: TestServer
        let cards: SlowCards
        let fromBeta: Link
        let fromDelta: Link
        private let fromGamma: Link

        static let policy = TrustPolicy(introducedBy: .init(count: 1, scopes: .all))

        init() async throws {
            cards = SlowCards()
            alpha = try await TestServer.open("alpha", configure: { $0.servesRegistry = true })
            try await alpha.server.start(transport: alpha.transport, peerCards: cards)
            beta = try await TestServer.start("beta", seed: 2, clock: alpha.clock)
            delta = try await TestServer.start("delta", seed: 3, clock: alpha.clock)
            gamma = try await TestServer.start("gamma", seed: 4, clock: alpha.clock)
            try await alpha.server.setPolicy(Self.policy)
            fromBeta = try await Link.connect(alpha.server, beta.server)
            fromDelta = try await Link.connect(alpha.server, delta.server)
            fromGamma = try await Link.connect(beta.server, gamma.server)
            // Nothing answers yet where beta says that gamma is.
            let (cards, home) = (cards, try Self.places()[0])
            try await eventually { cards.visited == [home] }
        }

        /// Where gamma says that it is.
        static func places() throws -> [Endpoint] {
            [try #require(Endpoint("ws://gamma.example")), try #require(Endpoint("ws://gamma.other.example"))]
        }

        /// A card of gamma's, by its own key or another.
        func card(sequence: UInt64, key: UInt8 = 0) throws -> String {
            let (places, signer, now) = (try Self.places(), try gamma.keys.key(key), alpha.clock.now().timestamp)
            return ServerCard(
                id: gamma.id, name: "Gamma", endpoint: places[0], alternatives: Array(places.dropFirst()),
                publicKey: signer.publicKey, commitment: try gamma.keys.commitment(), sequence: sequence, worlds: [],
                issued: now, expires: now + .seconds(3_600)
            ).issue(by: signer)
        }

        /// How often gamma was introduced to alpha.
        func introductions() async -> Int {
            await alpha.server.heardOf().first { $0.server == gamma.id }?.introductions.count ?? 0
        }
    }

    /// What happens to a registry while it looks for the card of somebody who was introduced there.
    enum Meanwhile: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case nothing = "nothing happens"
        case removed = "who introduced it is no peer any more"
        case suspended = "who introduced it is suspended"
        case contested = "another introducer names another key"
        case off = "introductions give no trust any more"
        case two = "two introductions are needed"
        case denied = "it is denied"
        case known = "it is known under another key"
        case excluded = "it is known, and suspended"

        var testDescription: String { rawValue }

        /// What is known of it then.
        var outcome: Outcome {
            switch self {
            case .nothing: .listed
            case .removed, .suspended, .contested, .off, .two, .denied: .unknown
            case .known: .other
            case .excluded: .suspended
            }
        }

        fileprivate func happen(in scene: Scene) async throws {
            let alpha = scene.alpha.server
            switch self {
            case .nothing: break
            case .removed: try await alpha.removePeer(scene.beta.id)
            case .suspended: _ = try await alpha.suspend(scene.beta.id, reason: "spam")
            case .contested:
                let now = scene.alpha.clock.now().timestamp
                let other = Introduction(
                    issuer: scene.delta.id, subject: scene.gamma.id, key: scene.delta.identity.publicKey,
                    endpoint: try Scene.places()[0], issuedAt: now, expiresAt: now + .seconds(3_600)
                ).issue(by: scene.delta.identity)
                scene.fromDelta.back.inject(.introductions(.init(statements: [other], cards: [])))
                try await eventually { await scene.introductions() == 2 }
            case .off: try await alpha.setPolicy(TrustPolicy())
            case .two: try await alpha.setPolicy(TrustPolicy(introducedBy: .init(count: 2, scopes: .all)))
            case .denied:
                var policy = Scene.policy
                policy.deny = [try #require(TrustPattern("id:gamma"))]
                try await alpha.setPolicy(policy)
            case .known: _ = try await alpha.register(try scene.card(sequence: 1, key: 9))
            case .excluded:
                _ = try await alpha.register(try scene.card(sequence: 1))
                _ = try await alpha.suspend(scene.gamma.id, reason: "spam")
            }
        }
    }

    enum Outcome: Sendable {
        case listed
        case unknown
        case other
        case suspended
    }

    @Test(
        "a stranger is judged again once its addresses have answered: what happened meanwhile counts",
        arguments: Meanwhile.allCases)
    func judgedAgain(_ meanwhile: Meanwhile) async throws {
        let scene = try await Scene()
        let (alpha, id, cards) = (scene.alpha.server, scene.gamma.id, scene.cards)
        #expect(await scene.introductions() == 1)
        let places = try Scene.places()
        // It goes on to here when the card is of no use.
        let end = try #require(Endpoint("ws://end.example"))
        cards.serve(try scene.card(sequence: 2), at: places) { try await meanwhile.happen(in: scene) }
        await alpha.fetchCard(of: id, at: [places[0], end])
        try await eventually {
            if cards.visited.contains(end) { return true }
            return (try? await alpha.server(id))?.recordSequence == 2
        }
        #expect(Array(cards.visited.dropFirst().prefix(2)) == places)
        let (entry, key) = (try? await alpha.server(id), await alpha.binding(of: id)?.key)
        switch meanwhile.outcome {
        case .listed:
            #expect(entry?.endpoint == places[0] && entry?.alternatives == [places[1]])
            #expect(key == scene.gamma.identity.publicKey)
        case .unknown:
            #expect(entry == nil && key == nil)
        case .other:
            let other = try scene.gamma.keys.key(9).publicKey
            #expect(entry?.publicKey == other && key == other)
        case .suspended:
            #expect(entry?.status == .suspended)
        }
        #expect(await alpha.isPeer(id) == false)
    }
}
