import FederationCrypto
import FederationModel
import FederationWire

@testable import FederationCore

/// A whole node with one trusted peer that has turned against it: frames of every kind in any order, documents that the
/// peer signs with any content, and time that passes. An input is a script.
public enum NodeTarget: FuzzTarget {
    public static let name = "node"

    /// What a step of a script does.
    fileprivate enum Step: UInt8, CaseIterable {
        /// A frame from bytes.
        case frame
        case offer
        case commit
        case admitted
        /// A verdict with a token.
        case committed
        /// A frame that says no more than which handoff it is about.
        case plain
        /// A client shows a token.
        case redeem
        case later
        /// The channel closes, and another one opens.
        case reconnect
    }

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        var source = ByteSource(input)
        var stage = try NodeStage(source.byte(), try Subjects.required())
        try stage.connect()
        for _ in 0..<24 where !source.isEmpty {
            let step = Step.allCases[Int(source.byte()) % Step.allCases.count]
            try stage.run(step, &source)
            try stage.check()
        }
        return stage.moves > 0
    }

    public static func seeds() throws -> [[UInt8]] {
        // In order: which handoff, player, world, epoch, age, lifetime, bytes of state.
        let token: [UInt8] = [0, 0, 0, 2, 0, 60, 4]
        let heartbeat = try FrameCodec.encode(.heartbeat(.init(sequence: 1, sentAt: Subjects.time)))
        let arrival: [UInt8] =
            [0] + [Step.offer, .commit, .redeem].flatMap { (step) -> [UInt8] in [step.rawValue] + token }
        let verdict: [UInt8] =
            [1] + [Step.offer, .committed, .offer].flatMap { (step) -> [UInt8] in [step.rawValue] + token }
        let withdrawn: [UInt8] = [0, Step.offer.rawValue] + token + [Step.plain.rawValue, 0, 2]
        let departure: [UInt8] = [6, Step.plain.rawValue, 3, 0, Step.admitted.rawValue, 3, 1, 2]
        let rejected: [UInt8] = [2, Step.plain.rawValue, 3, 1, Step.later.rawValue, 0, 40, Step.reconnect.rawValue]
        let anyFrame: [UInt8] = [0, Step.frame.rawValue, 0, UInt8(heartbeat.count)] + heartbeat
        let homecoming: [UInt8] =
            departure + [Step.offer.rawValue, 0, 1, 0, 3, 0, 60, 4] + [Step.commit.rawValue, 0, 1, 0, 3, 0, 60, 4]
        return [homecoming, arrival, verdict, withdrawn, departure, rejected, departure + anyFrame.dropFirst()]
    }
}

private struct NodeStage: ~Copyable {
    private static let world = WorldID(unchecked: "plaza")
    private static let portal = PortalID(unchecked: "gate")
    private static let players = [
        PlayerID(name: PlayerName(unchecked: "bob"), home: Subjects.betaID),
        PlayerID(name: PlayerName(unchecked: "ada"), home: Subjects.alphaID),
        PlayerID(name: PlayerName(unchecked: "eve"), home: ServerID(unchecked: "gamma")),
    ]
    private static let state: [UInt8] = [1, 2, 3, 4]

    private var node: FederationNode
    private let subjects: Subjects
    private var channel = ChannelID(0)
    private var now = Now(instant: Instant(nanoseconds: 0), timestamp: Subjects.time)
    /// How far the peer's clock is ahead.
    private let skew: Duration
    /// The highest epoch seen of each player.
    private var epochs: [Epoch?] = players.map { _ in nil }
    /// How much there was to tell the player or the world.
    private(set) var moves = 0

    /// `options`: bits 0 and 3 to 7 the peer's clock, bit 1 whether a player is on the way to the peer already, bit 2
    /// whether that is decided.
    init(_ options: UInt8, _ subjects: Subjects) throws(Violation) {
        self.subjects = subjects
        skew = .seconds((Int(options >> 3) - (options & 1 == 0 ? 0 : 31)) * 8)
        let configuration = NodeConfiguration(
            name: "Alpha", endpoint: try Self.endpoint(),
            handshake: HandshakeConfiguration(suites: [.classicalChaCha20Poly1305]))
        var stored = StoredState()
        stored.servers = [
            FederatedServer(
                id: Subjects.betaID, name: "Beta", endpoint: try Self.endpoint(), publicKey: subjects.beta.publicKey,
                registeredAt: Subjects.time, recordSequence: 1)
        ]
        stored.peers = [
            PeerRecord(server: Subjects.betaID, publicKey: subjects.beta.publicKey, addedAt: Subjects.time)
        ]
        stored.worlds = [
            WorldRecord(
                world: Self.world, name: "Plaza", manifest: ContentHash.of([]), manifestSize: 0, assets: 0, totalSize: 0
            )
        ]
        let isDeparting = options & 2 != 0
        let isDecided = options & 4 != 0
        let way = try Self.handoff(3)
        let away: PlayerRecord.Presence = isDecided ? .departed(to: Subjects.betaID, way) : .departing(way)
        stored.players = [
            PlayerRecord(
                player: Self.players[1], world: Self.world,
                presence: isDeparting ? away : .playable, epoch: isDeparting && isDecided ? Epoch(2) : .first,
                revision: 1,
                state: Self.state)
        ]
        if isDeparting {
            stored.handoffs = [
                HandoffRecord(
                    id: way, role: .source, player: Self.players[1], peer: Subjects.betaID,
                    portal: Self.portal, world: Self.world, spawn: nil, epoch: Epoch(2), revision: 1,
                    snapshotHash: ContentHash.of(Self.state), snapshot: Self.state, clientKey: nil,
                    state: isDecided ? .committed : .prepared,
                    openedAt: Subjects.time, changedAt: Subjects.time)
            ]
        }
        do {
            node = try FederationNode(
                identity: subjects.alpha, configuration: configuration, restoring: stored, at: now)
        } catch {
            throw Violation("a node cannot begin: \(error)")
        }
    }

    private static func endpoint() throws(Violation) -> Endpoint {
        guard let endpoint = Endpoint("ws://localhost:7700") else { throw Violation("no endpoint") }
        return endpoint
    }

    private static func handoff(_ number: UInt8) throws(Violation) -> HandoffID {
        guard let id = HandoffID(bytes: [UInt8](repeating: number & 3, count: 16)) else { throw Violation("no id") }
        return id
    }

    // MARK: The channel

    /// Opens a channel and runs an honest handshake over it.
    mutating func connect() throws(Violation) {
        channel = ChannelID(channel.number + 1)
        let peerNow = Now(instant: now.instant, timestamp: now.timestamp + skew)
        var peer = HandshakeManager(
            identity: subjects.beta, configuration: HandshakeConfiguration(suites: [.classicalChaCha20Poly1305]))
        let key = subjects.alpha.publicKey
        do {
            var toPeer = [
                try node.openChannel(
                    channel, direction: .incoming, expecting: nil, entropy: Subjects.entropy(1), at: now)
            ]
            var toNode = [
                try peer.initiate(
                    channel, direction: .outgoing, expecting: Subjects.alphaID, entropy: Subjects.entropy(2),
                    at: peerNow)
            ]
            for _ in 0..<3 {
                let messages = (node: toNode, peer: toPeer)
                (toNode, toPeer) = ([], [])
                for message in messages.node {
                    let (step, effects) = node.receiveHandshake(message, on: channel, direction: .incoming, at: now)
                    try take(effects)
                    switch step {
                    case .send(let messages), .established(let messages): toPeer += messages
                    case .close(let code): throw Violation("an honest handshake ended with \(code)")
                    }
                }
                for message in messages.peer {
                    switch try peer.receive(message, on: channel, at: peerNow, trust: { _ in .bound(key) }) {
                    case .send(let message): toNode.append(message)
                    case .sendAll(let messages): toNode += messages
                    case .completed: break
                    }
                }
            }
        } catch let violation as Violation {
            throw violation
        } catch {
            throw Violation("an honest handshake failed: \(error)")
        }
        try require(node.channel(to: Subjects.betaID) == channel, "an honest handshake gave no channel")
    }

    // MARK: Steps

    mutating func run(_ step: NodeTarget.Step, _ source: inout ByteSource) throws(Violation) {
        switch step {
        case .frame:
            guard let frame = try? FrameCodec.decode(source.bytes(source.word())) else { return }
            try receive(frame)
        case .offer:
            let (id, token, state) = try token(&source)
            try receive(.offer(.init(handoff: id, token: token, snapshot: state)))
        case .commit:
            let (id, token, _) = try token(&source)
            try receive(.commit(.init(handoff: id, token: token)))
        case .committed:
            let (id, token, _) = try token(&source)
            try receive(.verdict(.init(handoff: id, decision: .committed(token: token))))
        case .admitted:
            let id = try Self.handoff(source.byte())
            let receipt = AdmissionReceipt(
                issuer: Subjects.betaID, audience: Subjects.alphaID, handoff: id, player: Self.player(source.byte()),
                epoch: Self.epoch(source.byte()), issuedAt: now.timestamp)
            try receive(.admitted(.init(handoff: id, receipt: receipt.issue(by: subjects.beta))))
        case .plain:
            let id = try Self.handoff(source.byte())
            try receive(Self.plain(source.byte(), id))
        case .redeem:
            let (_, token, _) = try token(&source)
            try redeem(token)
        case .later:
            let pause = Duration.seconds(source.word())
            now = Now(instant: now.instant + pause, timestamp: now.timestamp + pause)
            try take(node.tick(at: now))
            if let next = node.nextDeadline {
                try require(next > now.instant, "a deadline that does not pass: \(next), now \(now.instant)")
            }
        case .reconnect:
            try take(node.channelClosed(channel, at: now))
            try connect()
        }
    }

    private static func plain(_ choice: UInt8, _ id: HandoffID) -> FederationFrame {
        switch choice % 6 {
        case 0: .accept(id)
        case 1: .reject(.init(handoff: id, code: "world.full", reason: "full"))
        case 2: .abort(id)
        case 3: .query(id)
        case 4: .verdict(.init(handoff: id, decision: .undecided))
        default: .verdict(.init(handoff: id, decision: .aborted))
        }
    }

    private static func player(_ choice: UInt8) -> PlayerID { players[Int(choice) % players.count] }

    /// Small numbers, and the largest that a document can hold.
    private static func epoch(_ choice: UInt8) -> Epoch {
        choice < 0xF0 ? Epoch(UInt64(choice)) : Epoch((1 << 53) - 1 - UInt64(choice & 7))
    }

    /// A token that the peer signs, whatever it says.
    private func token(_ source: inout ByteSource) throws(Violation) -> (HandoffID, String, [UInt8]) {
        let id = try Self.handoff(source.byte())
        let player = Self.player(source.byte())
        let world = source.byte() == 0 ? Self.world : WorldID(unchecked: "elsewhere")
        let epoch = Self.epoch(source.byte())
        let issued = now.timestamp + (skew - .seconds(Int(source.byte())))
        let expires = issued + .seconds(Int(source.byte()))
        let state = Array(Self.state.prefix(Int(source.byte())))
        let token = SessionToken(
            issuer: Subjects.betaID, player: player, audience: Subjects.alphaID, handoff: id, issuedAt: issued,
            notBefore: issued, expiresAt: expires, world: world, portal: Self.portal, epoch: epoch,
            snapshot: ContentHash.of(state), size: state.count, revision: 1)
        return (id, token.issue(by: subjects.beta), state)
    }

    private mutating func receive(_ frame: FederationFrame) throws(Violation) {
        try take(node.receive(frame, on: channel, at: now))
    }

    private mutating func redeem(_ token: String) throws(Violation) {
        do {
            let (record, effects) = try node.redeem(token, proof: nil, challenge: [], at: now)
            try require(record.isHere, "a token lets a player in who is not here")
            try take(effects)
        } catch let violation as Violation {
            throw violation
        } catch {
            let text = "\(error)"
            try require(text.unicodeScalars.allSatisfy(\.isPrintable), "a refusal that is not printable: \(text)")
        }
    }

    // MARK: What must hold

    /// What is sent can be written, and a node that closed the channel gets another one.
    private mutating func take(_ effects: [Effect]) throws(Violation) {
        var isClosed = false
        for effect in effects {
            switch effect {
            case .send(let frame, _):
                guard (try? FrameCodec.encode(frame)) != nil else { throw Violation("cannot be written: \(frame)") }
            case .close(let closed, _):
                if closed == channel { isClosed = true }
            case .notify:
                moves += 1
            case .persist, .dial, .dialNow, .hangUp, .serveAsset, .assetAnswered, .worldAnswered, .report,
                .fetchCard:
                break
            }
        }
        try require(effects.count < 64, "\(effects.count) effects of one input")
        guard isClosed else { return }
        try take(node.channelClosed(channel, at: now))
        try connect()
    }

    /// An epoch never goes backwards, and whoever is handed over is not played here.
    mutating func check() throws(Violation) {
        for (index, player) in Self.players.enumerated() {
            guard let record = node.players[player] else {
                try require(epochs[index] == nil, "\(player) is forgotten")
                continue
            }
            try require(record.epoch >= epochs[index] ?? record.epoch, "\(player) goes back to \(record.epoch)")
            epochs[index] = record.epoch
        }
        guard let departure = node.ledger.record(try Self.handoff(3)), departure.role == .source else { return }
        guard departure.state == .committed || departure.state == .completed else { return }
        guard let record = node.players[departure.player], record.epoch <= departure.epoch else { return }
        try require(!record.isHere, "\(departure.player) is handed over and still here")
    }
}
