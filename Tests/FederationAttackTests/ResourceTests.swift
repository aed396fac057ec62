import FederationModel
import FederationTransport
import NIOCore
import TestKit
import Testing

@testable import FederationHTTP

/// What those who have proved nothing, and a peer that goes bad, can cost: bounded memory, no signatures past the limit,
/// and nobody else's time. Every limit that fires has a name and is counted.
///
/// The figures hold both ends, because the attackers live in the same process.
@Suite("Resource attacks", .serialized, .timeLimit(.minutes(5 * patience))) struct ResourceTests {
    private static let many = 1_000
    private static let attackers = "127.0.0.2"
    /// Frames that may wait for a peer, with room for what the server says by itself.
    private static let waiting = Limits.outboundFrames - 96
    /// Of both ends of a thousand connections, and of whatever other tests do meanwhile.
    private static let memoryKiB = 256 << 10

    /// A server, and an honest one that it knows and that has not dialled it yet.
    private struct Scene {
        let server: LiveServer
        let honest: LiveServer
        let before: Int?

        init(
            _ configuration: WebSocketPeerTransport.Configuration = .unhurried, limits: ListenerLimits = .unhurried
        ) async throws {
            server = try await LiveServer.start("target", transport: configuration, limits: limits)
            honest = try await LiveServer.start("honest")
            try await server.trust(honest.identity)
            before = try Self.resident()
        }

        /// In KiB. Where the system says it, it must be known: what is not measured is not bounded.
        private static func resident() throws -> Int? {
            #if os(Linux)
                let resident: Int = try #require(residentKiB())
                return resident
            #else
                return residentKiB()
            #endif
        }

        /// What the attack has cost until now.
        func measure(_ attack: String) throws {
            guard let before, let resident = try Self.resident() else {
                print("attack: \(attack): this system does not say what a process holds in memory")
                return
            }
            print("attack: \(attack): VmRSS grew by \(resident - before) KiB to \(resident) KiB")
            #expect(resident - before < ResourceTests.memoryKiB)
        }

        /// The honest server dials in the midst of the attack; how long it takes until it is served.
        func meet(_ attack: String) async throws {
            let clock = ContinuousClock()
            let start = clock.now
            try await honest.trust(server.identity, at: server.port)
            try #require(await honest.host.established() != nil)
            let elapsed = clock.now - start
            print("attack: \(attack): an honest peer was served after \(elapsed)")
            #expect(elapsed < .seconds(10 * patience))
            try measure(attack)
        }

        func stop() async throws {
            try await honest.stop()
            try await server.stop()
        }
    }

    /// `count` attackers of one kind, a few at a time, so that the listener's queue is not what is tried.
    private func crowd(
        _ count: Int = many, _ make: @escaping @Sendable (Int) async throws -> Attacker
    ) async throws -> [Attacker] {
        try await withThrowingTaskGroup(of: Attacker.self) { group in
            var all: [Attacker] = []
            for number in 0..<count {
                if number >= 32, let attacker = try await group.next() { all.append(attacker) }
                group.addTask { try await make(number) }
            }
            for try await attacker in group { all.append(attacker) }
            return all
        }
    }

    private func disperse(_ attackers: [Attacker]) async {
        for attacker in attackers { await attacker.hangUp() }
    }

    // MARK: Half-open handshakes

    /// Would fail if more or fewer of them were let in than may wait, if the others stayed open, or if the honest peer had
    /// to wait for them: none of them goes by itself.
    @Test("a thousand connections that say nothing")
    func mute() async throws {
        let scene = try await Scene(limits: .unhurried)
        let port = scene.server.port
        let attackers = try await crowd { _ in try await Attacker.connect(port, from: Self.attackers) }
        let refused = Self.many - ListenerLimits().newcomersPerAddress
        func closed() -> Int { attackers.count(where: { !$0.channel.isActive }) }
        await eventually { closed() >= refused }
        try await scene.meet("a thousand mute connections")
        #expect(closed() == refused && scene.server.portLimit("newcomers") == Int64(refused))
        #expect(scene.server.portLimit("first_request_time") == 0)
        #expect(scene.server.host.opened == 1)
        await disperse(attackers)
        try await scene.stop()
    }

    /// Would fail if any of them stayed open, or if one that was given up kept its place. How many come before the first
    /// of them are given up is the machine's affair.
    @Test("a thousand connections that say nothing are given up when their time is over")
    func muteInVain() async throws {
        var limits = ListenerLimits()
        limits.firstRequestTimeout = .seconds(1)
        let server = try await LiveServer.start("target", limits: limits)
        let port = server.port
        let attackers = try await crowd { _ in try await Attacker.connect(port, from: Self.attackers) }
        for attacker in attackers { #expect(await attacker.closeCode() == nil) }
        let (tooMany, tooSlow) = (server.portLimit("newcomers"), server.portLimit("first_request_time"))
        print(
            "attack: of them \(tooMany) were refused at the door (newcomers), \(tooSlow) waited in vain (first_request_time)"
        )
        // At the least all that may wait at once; who came later was refused or took the place of one that was gone.
        #expect(tooSlow >= Int64(limits.newcomersPerAddress) && tooMany + tooSlow == Int64(Self.many))
        // Their places are free again.
        let others = try await crowd(64) { _ in try await Attacker.connect(port, from: Self.attackers) }
        for attacker in others { #expect(await attacker.closeCode() == nil) }
        #expect(server.portLimit("newcomers") == tooMany)
        #expect(server.portLimit("first_request_time") == tooSlow + Int64(others.count))
        try await server.stop()
    }

    @Test("a thousand WebSockets without a Hello")
    func withoutHello() async throws {
        let scene = try await Scene()
        let port = scene.server.port
        let attackers = try await crowd { _ in try await Attacker.upgrade(port, from: Self.attackers) }
        await eventually { scene.server.peerLimit("handshakes") >= Int64(Self.many - 64) }
        try await scene.meet("a thousand WebSockets without a Hello")
        #expect(scene.server.peerLimit("handshakes") == Int64(Self.many - 64))
        await eventually { scene.server.closed(.overloaded) >= Int64(Self.many - 64) }
        // Key pairs were made for those within the limit and for the honest one; signatures for the honest one only.
        #expect(scene.server.host.opened == 65 && scene.server.host.signatures == 1)
        await disperse(attackers)
        try await scene.stop()
    }

    @Test("a thousand Hellos in a peer's name without a Signature")
    func withoutSignature() async throws {
        let scene = try await Scene()
        let known = try LiveServer.identity("known")
        try await scene.server.trust(known)
        let hello = Attacker.message(try KnownPeer.handshake(known).helloMessage)
        let port = scene.server.port
        let attackers = try await crowd { _ in
            let attacker = try await Attacker.upgrade(port, from: Self.attackers)
            await attacker.send(hello)
            return attacker
        }
        await eventually { scene.server.peerLimit("handshakes") >= Int64(Self.many - 64) }
        try await scene.meet("a thousand Hellos without a Signature")
        await eventually { scene.server.host.signatures >= 65 }
        let signatures = scene.server.host.signatures
        print(
            "attack: \(signatures - 1) signatures were made for them, \(scene.server.peerLimit("handshakes")) were refused"
        )
        #expect(signatures == 65 && scene.server.host.opened == 65)
        await disperse(attackers)
        try await scene.stop()
    }

    @Test("a thousand Hellos of strangers cost no signature")
    func strangers() async throws {
        let scene = try await Scene()
        let hello = Attacker.message(try KnownPeer.handshake(try LiveServer.identity("stranger")).helloMessage)
        let port = scene.server.port
        let attackers = try await crowd { _ in
            let attacker = try await Attacker.upgrade(port, from: Self.attackers)
            await attacker.send(hello)
            return attacker
        }
        try await scene.meet("a thousand Hellos of strangers")
        await eventually {
            scene.server.closed(.untrustedPeer) + scene.server.peerLimit("handshakes") >= Int64(Self.many)
        }
        #expect(scene.server.host.signatures == 1)
        await disperse(attackers)
        try await scene.stop()
    }

    @Test("half-open handshakes from many addresses leave room for the peers that the server dials itself")
    func manyAddresses() async throws {
        let scene = try await Scene()
        let port = scene.server.port
        let attackers = try await crowd { number in
            try await Attacker.upgrade(port, from: "127.0.1.\(number / 50 + 1)")
        }
        let most = Limits.openHandshakes / 4 * 3
        await eventually { scene.server.peerLimit("handshakes") >= Int64(Self.many - most) }
        await eventually { scene.server.host.opened >= most }
        #expect(scene.server.host.opened == most)
        let known = try await LiveServer.start("reached")
        try await known.trust(scene.server.identity)
        let clock = ContinuousClock()
        let start = clock.now
        try await scene.server.trust(known.identity, at: known.port)
        try #require(await known.host.established() != nil)
        print(
            "attack: \(most) handshakes open from 20 addresses: the server reached its own peer after \(clock.now - start)"
        )
        await disperse(attackers)
        try await known.stop()
        try await scene.stop()
    }

    // MARK: Slowness

    @Test("a request at a snail's pace")
    func slowRequest() async throws {
        var limits = ListenerLimits()
        limits.firstRequestTimeout = .milliseconds(600)
        let scene = try await Scene(limits: limits)
        let attacker = try await Attacker.connect(scene.server.port, from: Self.attackers)
        attacker.trickle(Array(Attacker.opening.utf8), every: .milliseconds(20))
        #expect(await attacker.closeCode() == nil)
        #expect(scene.server.portLimit("first_request_time") == 1)
        try await scene.stop()
    }

    @Test("a Hello at a snail's pace")
    func slowHello() async throws {
        var configuration = WebSocketPeerTransport.Configuration()
        configuration.handshakeTimeout = .milliseconds(600)
        let scene = try await Scene(configuration)
        let hello = try KnownPeer.handshake(try LiveServer.identity("stranger")).helloMessage
        let attacker = try await Attacker.upgrade(scene.server.port, from: Self.attackers)
        attacker.trickle(Attacker.message(hello), every: .milliseconds(20))
        #expect(await attacker.closeCode() == CloseCode.handshakeTimeout.rawValue)
        // The attacker sees the Close before the server counts it.
        await eventually { scene.server.closed(.handshakeTimeout) == 1 }
        #expect(scene.server.peerLimit("handshake_time") == 1)
        await attacker.hangUp()
        try await scene.stop()
    }

    @Test("a request's head beyond its bounds")
    func largeHead() async throws {
        let scene = try await Scene()
        let attacker = try await Attacker.connect(scene.server.port, from: Self.attackers)
        await attacker.send(Array("GET / HTTP/1.1\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n".utf8))
        #expect(await attacker.received.next() == .status(431))
        #expect(scene.server.portLimit("header_size") == 1)
        try scene.measure("a request's head beyond its bounds")
        await attacker.hangUp()
        try await scene.stop()
    }

    // MARK: Frames

    struct Misdeed: Sendable, CustomTestStringConvertible {
        let what: String
        let code: CloseCode
        let limit: String
        let bytes: [UInt8]
        var testDescription: String { what }

        static let all = [
            Misdeed(
                what: "a length of 2^62", code: .oversized, limit: "message_size",
                bytes: Attacker.frame(0x82, length: 1 << 62)),
            Misdeed(
                what: "one byte more than a Hello may have", code: .oversized, limit: "message_size",
                bytes: Attacker.frame(0x82, length: UInt64(Limits.handshakeMessageBytes + 1))),
            Misdeed(
                what: "fragments that add up", code: .oversized, limit: "message_size",
                bytes: Attacker.frame(0x02, [1])
                    + (0...Limits.handshakeMessageBytes / 100).flatMap { _ in
                        Attacker.frame(0x00, [UInt8](repeating: 1, count: 100))
                    }),
            Misdeed(
                what: "empty fragments without end", code: .oversized, limit: "fragments",
                bytes: Attacker.frame(0x02) + (0..<2_000).flatMap { _ in Attacker.frame(0x00) }),
            Misdeed(
                what: "a flood of pings", code: .overloaded, limit: "control_frames",
                bytes: (0..<600).flatMap { _ in Attacker.frame(0x89, [UInt8](repeating: 7, count: 125)) }),
            Misdeed(
                what: "a flood of pongs", code: .overloaded, limit: "control_frames",
                bytes: (0..<600).flatMap { _ in Attacker.frame(0x8A) }),
            Misdeed(
                what: "pings between fragments", code: .overloaded, limit: "control_frames",
                bytes: (0..<600).flatMap { Attacker.frame($0 == 0 ? 0x02 : 0x00, [1]) + Attacker.frame(0x89) }),
        ]
    }

    @Test("frames beyond their bounds end the connection, under the limit's name", arguments: Misdeed.all)
    func frames(misdeed: Misdeed) async throws {
        let scene = try await Scene()
        let attacker = try await Attacker.upgrade(scene.server.port, from: Self.attackers)
        await attacker.send(misdeed.bytes)
        #expect(await attacker.closeCode() == misdeed.code.rawValue)
        // The Close frame leaves before it is counted.
        await eventually { scene.server.closed(misdeed.code) > 0 }
        #expect(scene.server.closed(misdeed.code) == 1 && scene.server.peerLimit(misdeed.limit) == 1)
        #expect(scene.server.host.signatures == 0)
        try scene.measure(misdeed.what)
        await attacker.hangUp()
        try await scene.stop()
    }

    // MARK: A peer that goes bad

    @Test("a peer that asks and never reads is given up as overloaded")
    func neverReads() async throws {
        let scene = try await Scene()
        let identity = try LiveServer.identity("greedy")
        try await scene.server.trust(identity)
        let socket = try await Attacker.upgrade(scene.server.port, from: Self.attackers)
        var peer = try await KnownPeer(identity, socket)
        try await socket.stopReading()
        var sent = 0
        while sent < Self.waiting {
            sent += 1
            try #require(await socket.send(try peer.seal(heartbeat(UInt64(sent)))))
        }
        try await scene.meet("a peer that never reads")
        // It was there all the time, and what waits for it as well.
        #expect(scene.server.closed(.overloaded) == 0)
        while scene.server.closed(.overloaded) == 0, sent < 1_000_000 {
            var batch: [UInt8] = []
            for _ in 0..<200 {
                sent += 1
                batch += try peer.seal(heartbeat(UInt64(sent)))
            }
            guard await socket.send(batch) else { break }
        }
        print("attack: a peer that never reads was given up after at most \(sent) frames")
        // Silence comes first only if the kernel takes nothing more from a socket that does not read.
        await eventually { scene.server.closed(.overloaded) + scene.server.closed(.silent) > 0 }
        #expect(scene.server.peerLimit("outbound_queue") == 1)
        try scene.measure("a peer that never reads, when it was given up")
        await socket.hangUp()
        try await scene.stop()
    }

    @Test("a peer that sends small frames without end slows down nobody else")
    func endlessFrames() async throws {
        let scene = try await Scene()
        let identity = try LiveServer.identity("chatty")
        try await scene.server.trust(identity)
        let socket = try await Attacker.upgrade(scene.server.port, from: Self.attackers)
        var peer = try await KnownPeer(identity, socket)
        let stream = Latch()
        async let met: Void = {
            await stream.wait()
            try await scene.meet("a peer that sends small frames without end")
        }()
        for number in 1...20_000 {
            guard await socket.send(try peer.seal(heartbeat(UInt64(number)))) else { break }
            if number == 2_000 { stream.open() }
        }
        try await met
        // Each was answered, however long it took: nothing was lost and nobody was thrown out.
        var answers = 0
        while answers < 20_000, await socket.message() != nil { answers += 1 }
        #expect(answers == 20_000 && scene.server.closed(.overloaded) == 0)
        await socket.hangUp()
        try await scene.stop()
    }
}
