import FederationCore
import FederationCrypto
import FederationModel
import FederationWire
import TestKit

/// A few nodes joined by a network that does as the test says: it delivers, loses, repeats and reorders frames, cuts
/// channels, and lets nodes die between any two effects. Handshakes are real; nothing else has time or chance.
final class TestFederation {
    /// A channel between two nodes. Each direction holds the frames that are on their way.
    final class Wire {
        let ends: (TestNode, TestNode)
        let channels: (ChannelID, ChannelID)
        var isOpen = true
        var frames: ([FederationFrame], [FederationFrame]) = ([], [])

        init(_ ends: (TestNode, TestNode), _ channels: (ChannelID, ChannelID)) {
            self.ends = ends
            self.channels = channels
        }

        func joins(_ one: TestNode, _ other: TestNode) -> Bool {
            (ends.0 === one && ends.1 === other) || (ends.0 === other && ends.1 === one)
        }
    }

    private(set) var nodes: [TestNode] = []
    private(set) var wires: [Wire] = []
    private(set) var elapsed: Duration = .seconds(1)
    var random: SeededGenerator
    /// What was done, for a test that fails.
    private(set) var trace: [String] = []
    /// The newest write of each player that the world was told is durable.
    private(set) var acknowledged: [PlayerID: UInt64] = [:]
    private(set) var redemptions: [HandoffID: Int] = [:]
    private var nextHandoff: UInt64 = 0

    static let start = Timestamp(milliseconds: 1_767_323_045_678)
    /// Ends with the test when nothing comes to rest.
    private static let patience = 200_000

    /// - Parameters:
    ///   - names: of the nodes. Each has a world with the same name, and a route to each other.
    ///   - trusts: whether the first pins the second; by default each each.
    init(
        _ names: [String], seed: UInt64 = 1, health: HealthThresholds = .standard,
        trustLifetime: Duration = Limits.trustLifetime,
        configure: (String, inout NodeConfiguration) throws -> Void = { _, _ in },
        trusts: (String, String) -> Bool = { _, _ in true }
    ) throws {
        random = SeededGenerator(seed: seed)
        for (index, name) in names.enumerated() {
            var configuration = NodeConfiguration(
                name: "Node \(name)", endpoint: TableSamples.endpoint("ws://\(name).example"),
                handshake: HandshakeConfiguration(
                    suites: [.classicalChaCha20Poly1305], trustLifetime: trustLifetime), health: health)
            try configure(name, &configuration)
            let node = try TestNode(name, configuration: configuration, seed: UInt8(index + 1), at: now)
            node.enqueue(node.node.start(at: now))
            node.enqueue(node.node.addWorld(Self.world(of: node.id), at: now))
            nodes.append(node)
        }
        for node in nodes {
            for other in nodes where other !== node {
                guard let card = other.node.card?.compact else { throw Violation("\(other.id) has no card") }
                if trusts(node.id.rawValue, other.id.rawValue) {
                    node.enqueue(try node.node.addPeer(card, at: now).effects)
                }
                node.enqueue(
                    try node.node.addRoute(
                        PortalRoute(
                            portal: Self.portal(to: other.id), source: node.id, destination: other.id,
                            world: Self.worldID(of: other.id))))
            }
        }
        try settle()
    }

    // MARK: Names

    func node(_ name: String) -> TestNode {
        guard let node = nodes.first(where: { $0.id.rawValue == name }) else { preconditionFailure("no node \(name)") }
        return node
    }

    static func worldID(of server: ServerID) -> WorldID { WorldID(unchecked: server.rawValue) }

    static func portal(to server: ServerID) -> PortalID { PortalID(unchecked: "to-\(server)") }

    static func world(of server: ServerID) -> WorldRecord {
        WorldRecord(
            world: worldID(of: server), name: "World", manifest: ContentHash.of([]), manifestSize: 0, assets: 0,
            totalSize: 0)
    }

    /// The proof of step 5 for a world without files.
    static func manifest(of server: ServerID) throws -> VerifiedManifest {
        try VerifiedManifest(
            try WorldManifest(world: worldID(of: server), name: "World", entries: []), assets: [VerifiedAsset]())
    }

    // MARK: Time

    var now: Now { now(offset: .zero) }

    func now(of node: TestNode) -> Now { now(offset: node.clockOffset) }

    func now(offset: Duration) -> Now {
        Now(instant: Instant(nanoseconds: 0) + elapsed, timestamp: Self.start + elapsed + offset)
    }

    func advance(by duration: Duration) {
        elapsed += duration
        note("time + \(duration)")
        for node in nodes where node.isUp { node.enqueue(node.node.tick(at: now(of: node))) }
    }

    // MARK: Channels

    func wire(_ one: TestNode, _ other: TestNode) -> Wire? {
        wires.last { $0.isOpen && $0.joins(one, other) }
    }

    /// Opens a channel, dialled by `dialler`, with the whole handshake. Nil when either side refused.
    @discardableResult
    func connect(_ dialler: TestNode, _ other: TestNode) throws -> Wire? {
        guard dialler.isUp, other.isUp else { return nil }
        note("\(dialler.id) dials \(other.id)")
        let channels = (dialler.newChannel(), other.newChannel())
        let wire = Wire((dialler, other), channels)
        let hello = try dialler.node.openChannel(
            channels.0, direction: .outgoing, expecting: other.id, entropy: HandshakeEntropy(using: &random),
            at: now(of: dialler))
        let answer = try other.node.openChannel(
            channels.1, direction: .incoming, expecting: nil, entropy: HandshakeEntropy(using: &random),
            at: now(of: other))
        var toDialler = [answer]
        var toOther = [hello]
        var established = (false, false)
        wires.append(wire)
        while !toDialler.isEmpty || !toOther.isEmpty {
            if !toOther.isEmpty {
                let (step, effects) = other.node.receiveHandshake(
                    toOther.removeFirst(), on: channels.1, direction: .incoming, at: now(of: other))
                other.enqueue(effects)
                switch step {
                case .send(let messages): toDialler += messages
                case .established(let messages):
                    toDialler += messages
                    established.1 = true
                case .close:
                    close(wire)
                    return nil
                }
            }
            if !toDialler.isEmpty {
                let (step, effects) = dialler.node.receiveHandshake(
                    toDialler.removeFirst(), on: channels.0, direction: .outgoing, at: now(of: dialler))
                dialler.enqueue(effects)
                switch step {
                case .send(let messages): toOther += messages
                case .established(let messages):
                    toOther += messages
                    established.0 = true
                case .close:
                    close(wire)
                    return nil
                }
            }
        }
        guard established == (true, true) else { throw Violation("a handshake ended in the middle") }
        return wire
    }

    /// Connects every pair that is not connected.
    func connectAll() throws {
        for (index, one) in nodes.enumerated() {
            for other in nodes[(index + 1)...] where wire(one, other) == nil { try connect(one, other) }
        }
    }

    /// Cuts a channel: what is on its way is lost, and both ends are told.
    func close(_ wire: Wire) {
        guard wire.isOpen else { return }
        wire.isOpen = false
        wire.frames = ([], [])
        wires.removeAll { $0 === wire }
        if wire.ends.0.isUp {
            wire.ends.0.enqueue(wire.ends.0.node.channelClosed(wire.channels.0, at: now(of: wire.ends.0)))
        }
        if wire.ends.1.isUp {
            wire.ends.1.enqueue(wire.ends.1.node.channelClosed(wire.channels.1, at: now(of: wire.ends.1)))
        }
    }

    func crash(_ node: TestNode) {
        note("\(node.id) crashes")
        node.crash()
        for wire in wires where wire.ends.0 === node || wire.ends.1 === node { close(wire) }
    }

    func restart(_ node: TestNode) throws {
        note("\(node.id) restarts")
        try node.restart(at: now(of: node))
    }

    // MARK: Effects

    /// Carries out the next effect of a node; false when there is none.
    @discardableResult
    func execute(_ node: TestNode) throws -> Bool {
        guard node.isUp, !node.queue.isEmpty else { return false }
        let item = node.queue.removeFirst()
        switch item {
        case .effect(let effect):
            note("\(node.id): \(effect.label)")
            try perform(effect, of: node)
        case .acknowledge(let player, let number):
            acknowledged[player] = max(acknowledged[player] ?? 0, number)
        case .redeemed(let handoff):
            redemptions[handoff, default: 0] += 1
        }
        return true
    }

    private func perform(_ effect: Effect, of node: TestNode) throws {
        try node.justify(effect)
        switch effect {
        case .persist(let changes): node.store.apply(changes)
        case .send(let frame, let channel): try send(frame, of: node, on: channel)
        case .close(let channel, _):
            if let wire = wire(of: node, channel) { close(wire) }
        case .dial(let server, _): node.dialled.append(server)
        case .dialNow(let server): node.dialledNow.append(server)
        case .hangUp(let server): node.dialled.removeAll { $0 == server }
        case .notify(let event): node.told.append(event)
        case .report(let event): node.reported.append(event)
        case .fetchCard(let server, _): node.fetched.append(server)
        case .serveAsset, .assetAnswered, .worldAnswered: break
        }
    }

    private func wire(of node: TestNode, _ channel: ChannelID) -> Wire? {
        wires.first {
            ($0.ends.0 === node && $0.channels.0 == channel) || ($0.ends.1 === node && $0.channels.1 == channel)
        }
    }

    private func send(_ frame: FederationFrame, of node: TestNode, on channel: ChannelID) throws {
        let bytes: [UInt8]
        do {
            bytes = try FrameCodec.encode(frame)
        } catch {
            throw Violation("\(node.id) would send a \(frame.label) that is not within its bounds: \(error)")
        }
        guard let wire = wire(of: node, channel) else { return }
        let decoded = try FrameCodec.decode(bytes)
        if wire.ends.0 === node { wire.frames.1.append(decoded) } else { wire.frames.0.append(decoded) }
    }

    /// Delivers a frame that is on its way, wherever it stands in the queue.
    func deliver(_ wire: Wire, toFirst: Bool, at index: Int = 0, keeping: Bool = false) {
        let node = toFirst ? wire.ends.0 : wire.ends.1
        let frame = toFirst ? wire.frames.0[index] : wire.frames.1[index]
        if !keeping { lose(wire, toFirst: toFirst, at: index) }
        guard node.isUp else { return }
        note("\(node.id) ← \(frame.label)")
        let channel = toFirst ? wire.channels.0 : wire.channels.1
        node.enqueue(node.node.receive(frame, on: channel, at: now(of: node)))
    }

    func lose(_ wire: Wire, toFirst: Bool, at index: Int) {
        if toFirst { wire.frames.0.remove(at: index) } else { wire.frames.1.remove(at: index) }
    }

    /// Carries out and delivers everything, in order, until nothing is left. `before` may stop it.
    func settle(_ before: (TestNode) throws -> Void = { _ in }) throws {
        for _ in 0..<Self.patience {
            var isBusy = false
            for node in nodes where node.isUp && !node.queue.isEmpty {
                try before(node)
                if try execute(node) { isBusy = true }
                try check()
            }
            for wire in wires {
                if !wire.frames.0.isEmpty {
                    deliver(wire, toFirst: true)
                    isBusy = true
                }
                if wire.isOpen, !wire.frames.1.isEmpty {
                    deliver(wire, toFirst: false)
                    isBusy = true
                }
                try check()
            }
            if !isBusy { return }
        }
        throw Violation("the federation does not come to rest: \(trace.suffix(40).joined(separator: "; "))")
    }

    /// Everything works again: nodes come back, channels open, clocks are right, and time passes until nothing is open.
    func heal() throws {
        note("heal")
        for node in nodes {
            node.clockOffset = .zero
            if !node.isUp { try restart(node) }
            for other in nodes where node.node.registry.server(other.id)?.status == .suspended {
                node.enqueue(try node.node.reinstate(other.id, at: now(of: node)))
            }
        }
        for _ in 0..<20 {
            try connectAll()
            try settle()
            if nodes.allSatisfy({ $0.node.ledger.openCount == 0 }) { return }
            advance(by: .seconds(31))
        }
        throw Violation("handoffs stay open: \(trace.suffix(60).joined(separator: "; "))")
    }

    // MARK: Players

    func enter(_ player: PlayerID, at node: TestNode) throws {
        try write(player, at: node, number: 0)
        try settle()
    }

    /// The world server at a node saves the player's state.
    func write(_ player: PlayerID, at node: TestNode, number: UInt64) throws {
        guard node.isUp else { throw Violation("\(node.id) is down") }
        let state = withUnsafeBytes(of: number.bigEndian, Array.init)
        let (_, effects) = try node.node.enter(
            player, world: Self.worldID(of: node.id), state: state, clientKey: nil, epoch: node.player(player)?.epoch)
        note("\(node.id): \(player) writes \(number)")
        node.enqueue(effects)
        node.queue.append(.acknowledge(player, number: number))
    }

    @discardableResult
    func depart(_ player: PlayerID, from source: TestNode, to destination: ServerID) throws -> HandoffID {
        guard source.isUp else { throw Violation("\(source.id) is down") }
        nextHandoff += 1
        var bytes = [UInt8](repeating: 0, count: 8)
        bytes += withUnsafeBytes(of: nextHandoff.bigEndian, Array.init)
        guard let id = HandoffID(bytes: bytes) else { throw Violation("sixteen bytes are an id") }
        note("\(source.id): \(player) departs to \(destination)")
        source.enqueue(
            try source.node.depart(
                player, epoch: source.player(player)?.epoch, through: Self.portal(to: destination), to: destination,
                as: id,
                assets: try Self.manifest(of: destination), at: now(of: source)))
        return id
    }

    /// The player's client shows the newest token that any node has given it for a handoff.
    func redeem(_ handoff: HandoffID, at node: TestNode) throws {
        let tokens = nodes.flatMap(\.told).compactMap { event -> String? in
            guard event.handoff == handoff, case .committed(_, let token) = event.kind else { return nil }
            return token
        }
        guard let token = tokens.last else { return }
        let (_, effects) = try node.node.redeem(token, proof: nil, challenge: [], at: now(of: node))
        node.enqueue(effects)
        node.queue.append(.redeemed(handoff))
    }

    /// Where a player is playable now.
    func playable(_ player: PlayerID) -> [ServerID] {
        nodes.filter { $0.player(player)?.presence == .playable }.map(\.id)
    }

    // MARK: The promise

    private var players: Set<PlayerID> {
        nodes.reduce(into: []) { $0.formUnion($1.store.players.keys) }
    }

    /// Whether copies of earlier terms count as places: not where a server is to go on with one until it hears of the reclaim.
    var countsOldTerms = true

    /// Playable on at most one server, seen from the worlds and from the disks; no token taken twice.
    func check() throws {
        for player in players {
            let newest = nodes.compactMap { $0.store.players[player]?.epoch.term }.max() ?? 0
            func counts(_ record: PlayerRecord?) -> Bool {
                guard let record, record.presence == .playable else { return false }
                return countsOldTerms || record.epoch.term == newest
            }
            let playable = nodes.filter { counts($0.player(player)) }.map(\.id)
            let durable = nodes.filter { counts($0.store.players[player]) }.map(\.id)
            guard playable.count <= 1, durable.count <= 1 else {
                throw Violation("\(player) is playable on \(playable), durably on \(durable): \(history)")
            }
        }
        for (handoff, count) in redemptions where count > 1 {
            throw Violation("handoff \(handoff) was redeemed \(count) times: \(history)")
        }
    }

    /// After ``heal()``: on exactly one, with the newest state that anybody was promised.
    func checkRest() throws {
        for player in players {
            let playable = playable(player)
            guard playable.count == 1 else { throw Violation("\(player) is playable on \(playable): \(history)") }
            let record = node(playable[0].rawValue).player(player)
            let number = (record?.state ?? []).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            guard record?.state.count == 8, number >= acknowledged[player] ?? 0 else {
                throw Violation(
                    "\(player) has state \(number), but \(acknowledged[player] ?? 0) was promised: \(history)")
            }
        }
        for node in nodes {
            let state = node.store.state
            for record in state.handoffs where !record.state.isFinal {
                throw Violation("\(node.id) keeps \(record.id) \(record.state.rawValue): \(history)")
            }
            guard Set(state.handoffs) == Set(state.handoffs.compactMap { node.node.ledger.record($0.id) }) else {
                throw Violation("the ledger of \(node.id) is not what it stored: \(history)")
            }
        }
    }

    private var history: String { trace.suffix(120).joined(separator: "\n  ") }

    private func note(_ text: @autoclosure () -> String) {
        trace.append(text())
    }
}
