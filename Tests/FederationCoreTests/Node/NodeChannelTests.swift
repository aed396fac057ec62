import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// Channels, heartbeats and what they do to health and registry.
@Suite("FederationNode, channels and health")
struct NodeChannelTests {
    private static let beta = ServerID(unchecked: "beta")
    private static let alpha = ServerID(unchecked: "alpha")

    private static func pair(
        health: HealthThresholds = .standard, trustLifetime: Duration = Limits.trustLifetime
    ) throws -> (TestFederation, alpha: TestNode, beta: TestNode) {
        let federation = try TestFederation(["alpha", "beta"], health: health, trustLifetime: trustLifetime)
        return (federation, federation.node("alpha"), federation.node("beta"))
    }

    private static func labels(_ node: TestNode) -> [String] {
        node.queue.compactMap { if case .effect(let effect) = $0 { effect.label } else { nil } }
    }

    @Test("an established channel is told, and the first sign of life is stored")
    func established() throws {
        let (federation, alpha, beta) = try Self.pair()
        try federation.connect(alpha, beta)
        #expect(
            Self.labels(alpha)
                == ["report outgoing channel of beta", "persist beta online", "send position", "send notice"])
        #expect(
            Self.labels(beta)
                == ["report incoming channel of alpha", "persist alpha online", "send position", "send notice"])
        #expect(alpha.node.direction(to: beta.id) == .outgoing && beta.node.direction(to: alpha.id) == .incoming)
        #expect(alpha.node.verifiedPeer(beta.id, at: federation.now)?.publicKey == beta.identity.publicKey)
    }

    // MARK: Two channels

    @Test("of two channels with a peer the one that the lower id dialled stays, whichever came first")
    func duplicates() throws {
        let (federation, alpha, beta) = try Self.pair()
        let first = try #require(try federation.connect(alpha, beta))
        try federation.settle()
        #expect(try federation.connect(beta, alpha) == nil)
        #expect(first.isOpen && alpha.node.channel(to: beta.id) == first.channels.0)

        let (other, alpha2, beta2) = try Self.pair()
        let dialledByHigher = try #require(try other.connect(beta2, alpha2))
        try other.settle()
        let dialledByLower = try #require(try other.connect(alpha2, beta2))
        #expect(
            Self.labels(alpha2).prefix(3) == [
                "close duplicateChannel", "report channel of beta closed", "report outgoing channel of beta",
            ])
        try other.settle()
        #expect(!dialledByHigher.isOpen && dialledByLower.isOpen)
        #expect(alpha2.node.channel(to: beta2.id) == dialledByLower.channels.0)
        #expect(beta2.node.channel(to: alpha2.id) == dialledByLower.channels.1)
    }

    @Test("what arrives on a channel that was replaced is nothing, and its end does not touch the new one")
    func superseded() throws {
        let (federation, alpha, beta) = try Self.pair()
        let old = try #require(try federation.connect(alpha, beta))
        try federation.settle()
        let new = try #require(try federation.connect(alpha, beta))
        let heartbeat = FederationFrame.heartbeat(
            FederationFrame.Heartbeat(sequence: 1, sentAt: federation.now.timestamp))
        #expect(alpha.node.receive(heartbeat, on: old.channels.0, at: federation.now).labels == [])
        #expect(alpha.node.channelClosed(old.channels.0, at: federation.now).labels == [])
        #expect(alpha.node.channel(to: beta.id) == new.channels.0)
        #expect(
            alpha.node.receive(heartbeat, on: new.channels.0, at: federation.now).labels == ["send acknowledgement"])
        try federation.settle()
        #expect(new.isOpen && !old.isOpen)
    }

    @Test("a channel that closes is told once, and leaves trust to run out by itself")
    func closed() throws {
        let (federation, alpha, beta) = try Self.pair()
        let wire = try #require(try federation.connect(alpha, beta))
        #expect(
            alpha.node.channelClosed(wire.channels.0, at: federation.now).labels == ["report channel of beta closed"])
        #expect(alpha.node.channelClosed(wire.channels.0, at: federation.now).labels == [])
        #expect(alpha.node.channel(to: beta.id) == nil)
        #expect(alpha.node.verifiedPeer(beta.id, at: federation.now) != nil)
        #expect(alpha.node.channelClosed(ChannelID(999), at: federation.now).labels == [])
    }

    @Test("Ready on an established channel, and frames without a channel")
    func misplaced() throws {
        let (federation, alpha, beta) = try Self.pair()
        let wire = try #require(try federation.connect(alpha, beta))
        let ready = FederationFrame.ready(FederationFrame.Ready(server: beta.id))
        #expect(alpha.node.receive(ready, on: ChannelID(999), at: federation.now).labels == [])
        #expect(
            alpha.node.receive(ready, on: wire.channels.0, at: federation.now).labels
                == ["close protocolError", "report channel of beta closed"])
        #expect(alpha.node.channel(to: beta.id) == nil)
        #expect(alpha.node.receive(ready, on: wire.channels.0, at: federation.now).labels == [])
    }

    @Test("questions about worlds and assets")
    func questions() throws {
        let (federation, alpha, beta) = try Self.pair()
        let wire = try #require(try federation.connect(alpha, beta))
        func hear(_ frame: FederationFrame) -> [Effect] {
            alpha.node.receive(frame, on: wire.channels.0, at: federation.now)
        }
        let world = TestFederation.world(of: alpha.id)
        let known = hear(.worldRequest(FederationFrame.WorldRequest(request: 7, world: world.world))).frames
        #expect(
            known == [
                .worldResponse(
                    FederationFrame.WorldResponse(
                        request: 7, answer: .manifest(world.manifest, size: world.manifestSize)))
            ])
        let unknown = hear(.worldRequest(FederationFrame.WorldRequest(request: 8, world: WorldID(unchecked: "no"))))
            .frames
        #expect(
            unknown == [.worldResponse(FederationFrame.WorldResponse(request: 8, answer: .refused("world.unknown")))])
        let request = FederationFrame.AssetRequest(request: 1, hash: world.manifest, offset: 0, length: 1)
        #expect(hear(.assetRequest(request)).labels == ["serve asset"])
        let asset = FederationFrame.AssetResponse(request: 1, answer: .chunk([]))
        #expect(hear(.assetResponse(asset)).labels == ["asset answered by beta"])
        let manifest = FederationFrame.WorldResponse(request: 1, answer: .refused("a.b"))
        #expect(hear(.worldResponse(manifest)).labels == ["world answered by beta"])
    }

    // MARK: Heartbeats

    @Test("a heartbeat goes out every interval, and its answer is timed")
    func heartbeats() throws {
        let (federation, alpha, beta) = try Self.pair()
        let wire = try #require(try federation.connect(alpha, beta))
        try federation.settle()
        let begin = federation.now
        for number in UInt64(1)...3 {
            let due = begin.instant + .seconds(30 * Int64(number))
            #expect(alpha.node.nextDeadline.map { $0 <= due } == true)
            let early = Now(instant: due + .nanoseconds(-1), timestamp: begin.timestamp)
            #expect(alpha.node.tick(at: early).frames.isEmpty)
            let now = Now(instant: due, timestamp: begin.timestamp + .seconds(30 * Int64(number)))
            let sent = alpha.node.tick(at: now).frames
            guard case .heartbeat(let heartbeat)? = sent.first, sent.count == 1 else {
                Issue.record("\(sent.map(\.label)) is not one heartbeat")
                return
            }
            #expect(heartbeat.sequence == number)
            let answered = Now(instant: due + .milliseconds(40), timestamp: now.timestamp)
            #expect(
                alpha.node.receive(.acknowledgement(heartbeat), on: wire.channels.0, at: answered).labels
                    == ["report round trip"])
            #expect(alpha.node.roundTrip(to: beta.id) == .milliseconds(40))
            // The same answer again is late, and so is one to a heartbeat that was never sent.
            for sequence in [number, 99] {
                let late = FederationFrame.Heartbeat(sequence: sequence, sentAt: now.timestamp)
                #expect(
                    alpha.node.receive(.acknowledgement(late), on: wire.channels.0, at: answered).labels
                        == ["report late"])
            }
        }
    }

    @Test("silence makes a peer degraded, then unreachable and its channel closed; one answer makes it healthy again")
    func silence() throws {
        let (federation, alpha, beta) = try Self.pair()
        let wire = try #require(try federation.connect(alpha, beta))
        try federation.settle()
        var seen: [String] = []
        for _ in 0..<12 {
            federation.advance(by: .seconds(30))
            seen += Self.labels(alpha).filter { $0 != "send heartbeat" }
            alpha.queue = []
            // Beta's heartbeats arrive, and are no answer.
            let heartbeat = FederationFrame.Heartbeat(sequence: 1, sentAt: federation.now.timestamp)
            _ = alpha.node.receive(.heartbeat(heartbeat), on: wire.channels.0, at: federation.now)
        }
        #expect(
            seen == [
                "persist beta degraded", "report beta degraded", "persist beta offline", "report beta unreachable",
                "close silent", "report channel of beta closed",
            ])
        #expect(alpha.node.health.status(of: beta.id) == .unreachable)
        federation.close(wire)
        alpha.queue = []
        try federation.connect(alpha, beta)
        #expect(
            Self.labels(alpha)
                == [
                    "report outgoing channel of beta", "persist beta online", "report beta healthy", "send position",
                    "send notice",
                ])
        #expect(alpha.node.registry.server(beta.id)?.status == .online)
    }

    @Test("status is stored when it changes, and not with every heartbeat")
    func quiet() throws {
        let (federation, alpha, beta) = try Self.pair()
        try federation.connect(alpha, beta)
        try federation.settle()
        for _ in 0..<50 {
            federation.advance(by: .seconds(30))
            for node in federation.nodes { #expect(!Self.labels(node).contains { $0.hasPrefix("persist") }) }
            try federation.settle()
        }
        #expect(alpha.node.health.status(of: beta.id) == .healthy)
        #expect(alpha.node.registry.server(beta.id)?.lastHeartbeat == federation.now.timestamp)
    }

    @Test("a wall clock that was set back does not keep a peer offline")
    func clockSetBack() throws {
        let (federation, alpha, beta) = try Self.pair()
        let wire = try #require(try federation.connect(alpha, beta))
        try federation.settle()
        federation.close(wire)
        for _ in 0..<11 { federation.advance(by: .seconds(30)) }
        try federation.settle()
        try federation.restart(alpha)
        #expect(alpha.node.registry.server(beta.id)?.status == .offline)
        alpha.clockOffset = .seconds(-200)
        beta.clockOffset = .seconds(-200)
        elapse(federation)
        try federation.connect(alpha, beta)
        try federation.settle()
        #expect(alpha.node.registry.server(beta.id)?.status == .online)
        #expect(alpha.store.servers[beta.id]?.status == .online)
    }

    private func elapse(_ federation: TestFederation) {
        federation.advance(by: .milliseconds(1))
    }

    // MARK: Trust

    @Test("trust runs out: the channel closes, and a new handshake renews it")
    func trustExpires() throws {
        let (federation, alpha, beta) = try Self.pair(trustLifetime: .seconds(100))
        let wire = try #require(try federation.connect(alpha, beta))
        try federation.settle()
        federation.advance(by: .seconds(99))
        #expect(alpha.node.verifiedPeer(beta.id, at: federation.now) != nil)
        let last = Now(instant: federation.now.instant + .seconds(1), timestamp: federation.now.timestamp)
        // Before the clock is looked at, a frame is.
        let heartbeat = FederationFrame.heartbeat(FederationFrame.Heartbeat(sequence: 1, sentAt: last.timestamp))
        #expect(
            beta.node.receive(heartbeat, on: wire.channels.1, at: last).labels
                == ["close trustExpired", "report channel of alpha closed"])
        federation.advance(by: .seconds(1))
        #expect(alpha.node.verifiedPeer(beta.id, at: federation.now) == nil)
        #expect(Self.labels(alpha).contains("close trustExpired"))
        #expect(throws: Refusal.self) {
            try alpha.node.resolve(TestFederation.portal(to: beta.id), at: federation.now)
        }
        try federation.settle()
        #expect(!wire.isOpen)
        #expect(try federation.connect(alpha, beta) != nil)
        #expect(alpha.node.verifiedPeer(beta.id, at: federation.now) != nil)
    }

    @Test("a portal names the step that refuses")
    func resolve() throws {
        let (federation, alpha, beta) = try Self.pair()
        func refusal() -> String? {
            do {
                _ = try alpha.node.plan(
                    PromiseTests.ada, epoch: nil, through: TestFederation.portal(to: beta.id), at: federation.now)
                return nil
            } catch {
                return "\(error.step?.rawValue ?? "none") \(error.code)"
            }
        }
        try federation.enter(PromiseTests.ada, at: alpha)
        #expect(refusal() == "handshake destination.untrusted")
        let wire = try #require(try federation.connect(alpha, beta))
        #expect(refusal() == nil)
        _ = try alpha.node.setRoute(TestFederation.portal(to: beta.id), active: false)
        #expect(refusal() == "routing route.inactive")
        _ = try alpha.node.setRoute(TestFederation.portal(to: beta.id), active: true)
        federation.close(wire)
        #expect(refusal() == "health destination.disconnected")
        federation.advance(by: .seconds(300))
        #expect(refusal() == "health destination.unreachable")
        _ = try alpha.node.suspend(beta.id, reason: "", at: federation.now)
        #expect(refusal() == "registry destination.suspended")
    }
}
