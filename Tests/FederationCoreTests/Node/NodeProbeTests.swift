import FederationCore
import FederationCrypto
import FederationModel
import FederationWire
import Testing

@Suite("One bad link does not close every portal")
struct NodeProbeTests {
    private func federation(_ names: [String] = ["a", "b", "c"], recovery: Int = 1) throws -> TestFederation {
        let federation = try TestFederation(
            names, health: try HealthThresholds(degraded: 2, unreachable: 4, recovery: recovery))
        try federation.connectAll()
        try federation.settle()
        return federation
    }

    /// What `a` thinks of `b` after each interval.
    private func watch(_ federation: TestFederation, intervals: Int) throws -> String {
        var seen = ""
        for _ in 0..<intervals {
            federation.advance(by: .seconds(30))
            try federation.settle()
            switch federation.node("a").status(of: federation.node("b")) {
            case .healthy: seen += "H"
            case .degraded: seen += "D"
            case .unreachable: seen += "U"
            case nil: seen += "-"
            }
        }
        return seen
    }

    private func cut(_ federation: TestFederation, _ one: String, _ other: String) throws {
        federation.close(try #require(federation.wire(federation.node(one), federation.node(other))))
        try federation.settle()
    }

    @Test("a peer that a common one reaches stays degraded for ten intervals, and then is unreachable all the same")
    func oneBadLink() throws {
        let federation = try federation()
        try cut(federation, "a", "b")
        #expect(try watch(federation, intervals: 13) == "HDDDDDDDDDDUU")
        let reported = federation.node("a").reported
        #expect(reported.contains(.vouched(federation.node("b").id, by: federation.node("c").id)))
        #expect(!reported.contains(.channelClosed(federation.node("c").id)))
        // `b` sees it in the same way, and both are well with `c`.
        #expect(federation.node("c").status(of: federation.node("a")) == .healthy)
        #expect(federation.node("c").status(of: federation.node("b")) == .healthy)
        try federation.connect(federation.node("a"), federation.node("b"))
        try federation.settle()
        #expect(federation.node("a").status(of: federation.node("b")) == .healthy)
        // And from the beginning once more.
        try cut(federation, "a", "b")
        #expect(try watch(federation, intervals: 12) == "HDDDDDDDDDDU")
    }

    @Test("a peer that nobody reaches is unreachable as soon as it always was")
    func reallyDead() throws {
        let federation = try federation()
        federation.crash(federation.node("b"))
        try federation.settle()
        #expect(try watch(federation, intervals: 5) == "HDDUU")
    }

    @Test("without a common peer nothing is asked and nothing changes")
    func two() throws {
        let federation = try federation(["a", "b"])
        try cut(federation, "a", "b")
        #expect(try watch(federation, intervals: 5) == "HDDUU")
    }

    @Test("one that has no trust in the peer says no, and so does one whose link to it is cut")
    func noCommonTrust() throws {
        let untrusting = try federation()
        let c = untrusting.node("c")
        c.enqueue(try c.node.removePeer(untrusting.node("b").id, at: untrusting.now))
        try untrusting.settle()
        try cut(untrusting, "a", "b")
        #expect(try watch(untrusting, intervals: 5) == "HDDUU")
        let isolated = try federation()
        try cut(isolated, "a", "b")
        try cut(isolated, "c", "b")
        #expect(try watch(isolated, intervals: 5) == "HDDUU")
    }

    @Test("a channel that carries no answers makes room when only others' word keeps the peer")
    func silentChannel() throws {
        let federation = try federation()
        let (a, b) = (federation.node("a"), federation.node("b"))
        let wire = try #require(federation.wire(a, b))
        func loseAll(_ node: TestNode) {
            while !wire.frames.0.isEmpty { federation.lose(wire, toFirst: true, at: 0) }
            while !wire.frames.1.isEmpty { federation.lose(wire, toFirst: false, at: 0) }
        }
        for interval in 1...4 {
            federation.advance(by: .seconds(30))
            // Everything that `a` and `b` send each other is lost.
            while try [a, b].contains(where: { try federation.execute($0) }) {}
            loseAll(a)
            try federation.settle(loseAll)
            #expect((a.channel(to: b) != nil) == (interval < 4), "interval \(interval)")
        }
        #expect(a.status(of: b) == .degraded)
    }

    @Test("a thousand questions are one heartbeat to the peer, and as many answers")
    func noAmplification() throws {
        let federation = try federation()
        let (a, b, c) = (federation.node("a"), federation.node("b"), federation.node("c"))
        federation.advance(by: .seconds(2))
        try federation.settle()
        let channel = try #require(c.channel(to: a))
        let toB = try #require(c.channel(to: b))
        var sent: [String: Int] = [:]
        for request in 0..<1_000 {
            let probe = FederationFrame.probe(.init(request: UInt64(request), server: b.id))
            for effect in c.node.receive(probe, on: channel, at: federation.now) {
                guard case .send(let frame, let on) = effect else { continue }
                sent["\(frame.label) \(on == toB ? "b" : "a")", default: 0] += 1
            }
        }
        #expect(sent == ["heartbeat b": 1, "probe result a": 968])
        // The 32 that wait are answered when the patience is over, and forgotten.
        let late = c.node.tick(
            at: Now(instant: federation.now.instant + .seconds(5), timestamp: federation.now.timestamp))
        #expect(late.count { if case .send(.probeResult(let result), _) = $0 { !result.reached } else { false } } == 32)
    }

    @Test("an answer that nobody asked for counts for nothing, nor does one about a stranger")
    func unsolicited() throws {
        let federation = try federation()
        let (a, c) = (federation.node("a"), federation.node("c"))
        try cut(federation, "a", "b")
        #expect(try watch(federation, intervals: 1) == "H")
        let channel = try #require(a.channel(to: c))
        for request in 0..<100 {
            let result = FederationFrame.probeResult(.init(request: UInt64(request), reached: true))
            #expect(a.node.receive(result, on: channel, at: federation.now).isEmpty)
        }
        let stranger = FederationFrame.probe(.init(request: 1, server: ServerID(unchecked: "stranger")))
        let effects = c.node.receive(stranger, on: try #require(c.channel(to: a)), at: federation.now)
        #expect(effects.map(\.label) == ["send probe result"])
        #expect(!a.reported.contains { if case .vouched = $0 { true } else { false } })
    }

    @Test("with a recovery of two a peer that is back is degraded, in the registry too, until its next answer")
    func recovery() throws {
        let federation = try federation(["a", "b"], recovery: 2)
        let (a, b) = (federation.node("a"), federation.node("b"))
        try cut(federation, "a", "b")
        #expect(try watch(federation, intervals: 4) == "HDDU")
        try federation.connect(b, a)
        try federation.settle()
        #expect(a.status(of: b) == .degraded)
        #expect(a.registryStatus(of: b) == .degraded)
        federation.advance(by: .seconds(30))
        try federation.settle()
        #expect(a.status(of: b) == .healthy)
        #expect(a.registryStatus(of: b) == .online)
    }

    // MARK: Coming back

    @Test(
        "a peer that says, signed, that it is back is dialled at once: once, not by a replay, and nothing else changes")
    func comeback() throws {
        let federation = try federation(["a", "b"])
        let (a, b) = (federation.node("a"), federation.node("b"))
        func say(
            _ sequence: UInt64, by identity: ServerIdentity? = nil, to reader: ServerID? = nil
        ) throws -> [String] {
            let statement = HeartbeatStatement(
                issuer: b.id, audience: reader ?? a.id, sequence: sequence, issuedAt: federation.now.timestamp
            ).issue(by: identity ?? b.identity)
            return try a.node.heartbeat(b.id, statement: statement, at: federation.now).1.map(\.label)
        }
        #expect(try say(1).isEmpty, "while there is a channel there is nothing to dial")
        try cut(federation, "a", "b")
        #expect(try watch(federation, intervals: 4) == "HDDU")
        let thief = try ServerIdentity(id: b.id, seed: [UInt8](repeating: 99, count: ServerIdentity.seedBytes))
        #expect(throws: Refusal.self) { try say(2, by: thief) }
        // What was said to a registry, or to another server, brings about no dial here, whoever brings it.
        #expect(throws: Refusal.self) { try say(2, to: ServerID(unchecked: "c")) }
        let unaddressed = HeartbeatStatement(issuer: b.id, sequence: 2, issuedAt: federation.now.timestamp).issue(
            by: b.identity)
        #expect(throws: Refusal.self) { try a.node.heartbeat(b.id, statement: unaddressed, at: federation.now) }
        let old = HeartbeatStatement(
            issuer: b.id, audience: a.id, sequence: 3, issuedAt: federation.now.timestamp
        ).issue(by: b.identity)
        #expect(try a.node.heartbeat(b.id, statement: old, at: federation.now).1.map(\.label) == ["dial b now"])
        #expect(a.status(of: b) == .unreachable)
        #expect(try say(4).isEmpty, "not twice in thirty seconds")
        federation.advance(by: .seconds(30))
        try federation.settle()
        #expect(try a.node.heartbeat(b.id, statement: old, at: federation.now).1.isEmpty, "a replay")
        #expect(try say(4) == ["dial b now"])
        federation.advance(by: .seconds(30))
        try federation.settle()
        #expect(try say(1) == ["dial b now"], "one that starts anew numbers anew")
        a.enqueue(try a.node.suspend(b.id, reason: "test", at: federation.now))
        try federation.settle()
        federation.advance(by: .seconds(60))
        #expect(try say(5).isEmpty)
    }
}

extension TestNode {
    func status(of other: TestNode) -> HealthStatus? { node.health.status(of: other.id) }

    func registryStatus(of other: TestNode) -> ServerStatus? { node.registry.server(other.id)?.status }
}
