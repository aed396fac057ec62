import FederationModel
import ServiceTestKit
import Synchronization
import TestKit
import Testing

/// What somebody in between can do to two servers that only know each other's keys. Both must end the channel, and both
/// operators must read why.
@Suite("A relay in between", .timeLimit(.minutes(5 * patience))) struct RelayTests {
    /// `alpha` dials `beta` through a relay; each keeps the other as its peer. Time stands still for both unless the test
    /// moves it: what ends a channel is what happened to it.
    private struct Scene {
        let alpha: LiveServer
        let beta: LiveServer
        let betaClock = ManualClock()
        let relay: Relay

        init(connections: Int = 1, _ meddling: @escaping Relay.Meddling) async throws {
            alpha = try await LiveServer.start(
                "alpha", transport: .unhurried, limits: .unhurried, clock: ManualClock())
            beta = try await LiveServer.start("beta", transport: .unhurried, limits: .unhurried, clock: betaClock)
            relay = try await Relay.start(to: beta.port, connections: connections, meddling)
            try await beta.trust(alpha.identity)
            try await alpha.trust(beta.identity, at: relay.port)
        }

        func stop() async throws {
            try await relay.stop()
            try await alpha.stop()
            try await beta.stop()
        }
    }

    // MARK: Handshake messages

    struct Attack: Sendable, CustomTestStringConvertible {
        let what: String
        /// The server that finds out; nil when both do.
        let victim: String?
        let code: CloseCode
        /// Made for each run: some remember what they saw.
        let meddling: @Sendable () -> Relay.Meddling
        var testDescription: String { what }

        init(
            _ what: String, _ victim: String?, _ code: CloseCode, _ meddling: @escaping @Sendable () -> Relay.Meddling
        ) {
            self.what = what
            self.victim = victim
            self.code = code
            self.meddling = meddling
        }

        /// Changes one message of the dialler's.
        init(
            _ what: String, _ victim: String?, _ code: CloseCode, at index: Int,
            _ change: @escaping @Sendable ([UInt8]) -> [[UInt8]]
        ) {
            self.init(what, victim, code) {
                { message in
                    guard message.direction == .up, message.index == index else { return await Relay.honest(message) }
                    return change(message.bytes).map { Relay.Delivery(direction: .up, bytes: $0) }
                }
            }
        }

        /// Holds back one message of the dialler's until the next has passed.
        init(_ what: String, _ victim: String?, _ code: CloseCode, reordering index: Int) {
            self.init(what, victim, code) {
                let held = Mutex<[UInt8]?>(nil)
                return { message in
                    guard message.direction == .up else { return await Relay.honest(message) }
                    if message.index == index {
                        held.withLock { $0 = message.bytes }
                        return []
                    }
                    let late = held.withLock { $0.take() }.map { [Relay.Delivery(direction: .up, bytes: $0)] } ?? []
                    return await Relay.honest(message) + late
                }
            }
        }

        static let handshake = [
            Attack("flips a bit of the Hello", nil, .invalidSignature, at: 0) { [flip($0, at: $0.count - 1)] },
            Attack("makes the Hello's clock wrong", "beta", .clockSkew, at: 0) { hello in
                // kind, two versions, "alpha" and "beta" with their lengths: the timestamp's first byte is at 18.
                [flip(hello, at: 18, bit: 6)]
            },
            Attack("drops the Hello's last byte", "beta", .protocolError, at: 0) { [Array($0.dropLast())] },
            Attack("repeats the Hello", "beta", .protocolError, at: 0) { [$0, $0] },
            Attack("delivers the Signature before the Hello", "beta", .protocolError, reordering: 0),
            Attack("reflects the Hello", "alpha", .reflected) {
                { message in
                    guard message.index == 0 else { return [] }
                    return message.direction == .up ? [Relay.Delivery(direction: .down, bytes: message.bytes)] : []
                }
            },
            Attack("flips a bit of the Signature", "beta", .invalidSignature, at: 1) { [flip($0, at: $0.count - 1)] },
            Attack("drops the Signature's last byte", "beta", .protocolError, at: 1) { [Array($0.dropLast())] },
            Attack("puts the Hello in place of the Signature", "beta", .protocolError) {
                let hello = Mutex<[UInt8]>([])
                return { message in
                    guard message.direction == .up, message.index < 2 else { return await Relay.honest(message) }
                    if message.index == 0 { hello.withLock { $0 = message.bytes } }
                    return [Relay.Delivery(direction: .up, bytes: hello.withLock { $0 })]
                }
            },
            Attack("flips a bit of Ready", "beta", .badRecord, at: 2) { [flip($0, at: 0)] },
            Attack("drops Ready's last byte", "beta", .badRecord, at: 2) { [Array($0.dropLast())] },
            Attack("reflects Ready", "alpha", .badRecord) {
                { message in
                    guard message.index == 2 else { return await Relay.honest(message) }
                    return message.direction == .up ? [Relay.Delivery(direction: .down, bytes: message.bytes)] : []
                }
            },
        ]

        static let records = [
            Attack("flips the first bit of a record", "beta", .badRecord, at: 3) { [flip($0, at: 0)] },
            Attack("flips the last bit of a record", "beta", .badRecord, at: 3) { [flip($0, at: $0.count - 1)] },
            Attack("repeats a record", "beta", .badRecord, at: 3) { [$0, $0] },
            Attack("drops a record", "beta", .badRecord, at: 3) { _ in [] },
            Attack("exchanges two records", "beta", .badRecord, reordering: 3),
            Attack("cuts a record", "beta", .badRecord, at: 3) { [Array($0.dropLast())] },
            Attack("empties a record", "beta", .badRecord, at: 3) { _ in [[]] },
            Attack("makes up a record", "beta", .badRecord, at: 3) { [Array(repeating: 0, count: 40), $0] },
            Attack("reflects a record", nil, .badRecord) {
                { message in
                    guard message.index == 3, message.direction == .up else { return await Relay.honest(message) }
                    return [Relay.Delivery(direction: .down, bytes: message.bytes)]
                }
            },
            Attack("repeats Ready in place of a record", "beta", .badRecord) {
                let ready = Mutex<[UInt8]>([])
                return { message in
                    guard message.direction == .up, message.index >= 2 else { return await Relay.honest(message) }
                    if message.index == 2 { ready.withLock { $0 = message.bytes } }
                    return [Relay.Delivery(direction: .up, bytes: ready.withLock { $0 })]
                }
            },
        ]

        static func flip(_ bytes: [UInt8], at index: Int, bit: Int = 0) -> [UInt8] {
            var bytes = bytes
            bytes[index] ^= 1 << bit
            return bytes
        }
    }

    @Test(
        "what happens to a message of the handshake ends it, with one reason at both ends", arguments: Attack.handshake)
    func handshake(attack: Attack) async throws {
        let scene = try await Scene(attack.meddling())
        try await expectEnd(scene, attack)
        #expect(try await scene.beta.server.peer(alphaID).isTrusted == false)
        try await scene.stop()
    }

    @Test("what happens to a record ends the channel, with one reason at both ends", arguments: Attack.records)
    func records(attack: Attack) async throws {
        let scene = try await Scene(attack.meddling())
        let near = try #require(await scene.alpha.host.established())
        _ = try #require(await scene.beta.host.established())
        let sink = try #require(scene.alpha.host.sink(near))
        for number in 1...3 { sink.send(heartbeat(UInt64(number + 100))) }
        try await expectEnd(scene, attack)
        // Nothing of what was touched reached the server.
        let frames = await scene.beta.host.next { event -> Bool? in
            switch event {
            case .frame(_, let frame): frame == heartbeat(101) && attack.what != "repeats a record" ? true : nil
            case .closed: false
            default: nil
            }
        }
        #expect(frames == false)
        try await scene.stop()
    }

    private let alphaID = ServerID(unchecked: "alpha")

    /// Both ends have closed with the attack's code: the victim because it found out, the other because it was told.
    private func expectEnd(_ scene: Scene, _ attack: Attack) async throws {
        let (alpha, beta) = (scene.alpha, scene.beta)
        func total(_ server: LiveServer) -> Int64 { server.closed(attack.code) + server.wasClosed(attack.code) }
        await eventually { total(alpha) > 0 && total(beta) > 0 }
        #expect(total(alpha) == 1 && total(beta) == 1)
        switch attack.victim {
        case "alpha": #expect(alpha.closed(attack.code) == 1 && beta.wasClosed(attack.code) == 1)
        case "beta": #expect(beta.closed(attack.code) == 1 && alpha.wasClosed(attack.code) == 1)
        default: break
        }
    }

    // MARK: Silence

    /// Would fail if a server waited for Ready without end, or did not say why it closes. That a socket's own timer still
    /// runs behind the Signature is what `HandshakeTimerTests` are for.
    @Test("who is never sent Ready gives up when the time is over, and the other end is told")
    func readyNeverSent() async throws {
        let withheld = Latch()
        let scene = try await Scene { message in
            guard message.direction == .up, message.index >= 2 else { return await Relay.honest(message) }
            withheld.open()
            return []
        }
        // However long that took: everything before Ready has come, and the one that has the other's is established.
        #expect(await scene.alpha.host.established() != nil)
        await eventually { withheld.isOpen }
        #expect(scene.beta.closed(.handshakeTimeout) == 0)
        scene.betaClock.advance(by: Limits.handshakeTimeout)
        await eventually { scene.beta.closed(.handshakeTimeout) > 0 && scene.alpha.wasClosed(.handshakeTimeout) > 0 }
        #expect(scene.beta.closed(.handshakeTimeout) == 1 && scene.alpha.wasClosed(.handshakeTimeout) == 1)
        // It knows better now.
        await eventually { await (try? scene.alpha.server.peer(scene.beta.id).direction) == .some(nil) }
        #expect(try await scene.beta.server.peer(alphaID).isTrusted == false)
        try await scene.stop()
    }

    @Test("a whole handshake that is played again opens nothing")
    func replayedHandshake() async throws {
        let recorded = Mutex<[[UInt8]]>([])
        let scene = try await Scene(connections: 2) { message in
            guard message.direction == .up else { return await Relay.honest(message) }
            if message.connection == 1 {
                recorded.withLock { $0.append(message.bytes) }
                return await Relay.honest(message)
            }
            return recorded.withLock { recorded in
                recorded.indices.contains(message.index)
                    ? [Relay.Delivery(direction: .up, bytes: recorded[message.index])] : []
            }
        }
        let first = try #require(await scene.beta.host.established())
        try #require(scene.beta.host.sink(first)).close(.internalError)
        await scene.beta.host.closed(first)
        await eventually {
            scene.relay.connections >= 2 && scene.beta.closed(.invalidSignature) > 0
                || scene.beta.wasClosed(.invalidSignature) > 0
        }
        let failed = await scene.beta.host.next { event -> Bool? in
            switch event {
            case .established: false
            case .closed: true
            default: nil
            }
        }
        #expect(failed == true)
        await eventually { scene.alpha.closed(.invalidSignature) + scene.alpha.wasClosed(.invalidSignature) > 0 }
        try await scene.stop()
    }

    // MARK: The operator acts meanwhile

    struct Act: Sendable, CustomTestStringConvertible {
        let what: String
        /// The dialler's message that is held back meanwhile.
        let index: Int
        let code: CloseCode
        let isSuspension: Bool
        var testDescription: String { "\(what) before message \(index)" }

        static let all = [0, 1, 2].flatMap { index in
            [
                Act(what: "suspended", index: index, code: .suspended, isSuspension: true),
                Act(what: "removed", index: index, code: .untrustedPeer, isSuspension: false),
            ]
        }
    }

    @Test("a peer that is suspended or removed in mid-handshake does not get through", arguments: Act.all)
    func operatorActs(act: Act) async throws {
        let reached = Latch()
        let acted = Latch()
        let scene = try await Scene { message in
            if message.direction == .up, message.index == act.index {
                reached.open()
                await acted.wait()
            }
            return await Relay.honest(message)
        }
        await reached.wait()
        if act.isSuspension {
            _ = try await scene.beta.server.suspend(alphaID, reason: "rehearsal")
        } else {
            try await scene.beta.server.removePeer(alphaID)
            // Its id stays bound to its key: nobody else can be put in its place meanwhile.
            await #expect(throws: Refusal.self) {
                try await scene.beta.trust(try LiveServer.identity("alpha", seed: 9))
            }
        }
        acted.open()
        await eventually { scene.beta.closed(act.code) > 0 && scene.alpha.wasClosed(act.code) > 0 }
        #expect(scene.beta.closed(act.code) == 1 && scene.alpha.wasClosed(act.code) == 1)
        try await scene.stop()
    }

    @Test("a server that comes back with another key is not taken for the one that was known")
    func otherKey() async throws {
        let beta = try await LiveServer.start("beta")
        let other = try await LiveServer.start("alpha", seed: 2)
        try await beta.trust(try LiveServer.identity("alpha", seed: 1))
        try await other.trust(beta.identity, at: beta.port)
        await eventually { beta.closed(.wrongKey) > 0 && other.wasClosed(.wrongKey) > 0 }
        #expect(try await beta.server.peer(alphaID).isTrusted == false)
        try await other.stop()
        try await beta.stop()
    }
}
