import FederationCore
import FederationCrypto
import FederationModel
import FederationWire

/// What the hostile peer alters: frames on their way, and its own word. What is its own to say, about players whom it really has, it
/// says as the protocol wants it; see ``HostilePeer``.
extension Simulation {
    // MARK: Bits

    /// Bytes that are no frame, or a frame with a few bits changed: its kind, an id, a token, a snapshot.
    func garbage(to server: Int, _ random: inout SplitMix64) {
        var bytes = random.bytes(1 + random.below(200))
        if random.percent(75), !hostile.seen.isEmpty {
            bytes = random.pick(hostile.seen)
            if random.oneIn(4) { bytes.removeLast() }
        }
        for _ in 0...random.below(2) where !bytes.isEmpty {
            bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
        }
        guard !isOwnWord(bytes, to: server) else { return }
        note(.hostile, server, UInt64(bytes.count)) {
            "mallory sends \(servers[server].id) \(bytes.count) bytes of garbage"
        }
        hostileSends(bytes, to: server)
    }

    /// Whether the bytes are what the hostile peer could honestly say of a handoff of its own: said at the wrong moment, it
    /// would be a decision that nobody knows it has taken.
    private func isOwnWord(_ bytes: [UInt8], to server: Int) -> Bool {
        guard let frame = try? FrameCodec.decode(bytes), let handoff = frame.handoff, let crossing = crossings[handoff],
            crossing.source == .hostile || crossing.destination == .hostile
        else { return false }
        switch frame {
        case .offer(let offer):
            return isSigned(offer.token, to: server) { $0.snapshot == ContentHash.of(offer.snapshot) }
        case .commit(let commit): return isSigned(commit.token, to: server)
        case .admitted(let admitted): return crossing.receipts.contains(admitted.receipt)
        case .verdict(let verdict):
            switch verdict.decision {
            case .undecided: return false
            case .committed(let token): return isSigned(token, to: server)
            case .aborted: return true
            }
        case .query: return false
        case .accept, .reject, .abort: return true
        case .ready, .heartbeat, .acknowledgement, .worldRequest, .worldResponse, .assetRequest, .assetResponse,
            .position, .evidence, .recall, .notice, .introductions, .probe, .probeResult:
            return false
        }
    }

    private func isSigned(
        _ token: String, to server: Int, and holds: (SessionToken) -> Bool = { _ in true }
    ) -> Bool {
        let known = try? SessionToken.verify(
            token, issuer: hostile.identity.id, key: hostile.identity.publicKey, audience: servers[server].id,
            at: now.timestamp, leeway: .seconds(1 << 30))
        return known.map(holds) ?? false
    }

    // MARK: Contradictions

    /// An offer in its own name, and then a decision that contradicts it in one point. There is never another decision, so
    /// nobody may be admitted.
    func contradictGhost(to server: Int, _ random: inout SplitMix64) throws {
        let number = random.below(HostilePeer.ghosts)
        let handoff = try hostile.newHandoff()
        let ghost = Said(
            handoff: handoff, player: Self.ghost(number, of: hostile),
            epoch: Epoch(UInt64(2 + random.below(1_000_000))),
            state: SimulatedPlayer.state(UInt64(random.below(100))), decision: nil)
        undecided.insert(handoff)
        let offer = FederationFrame.HandoffOffer(
            handoff: handoff, token: token(ghost, to: server), snapshot: ghost.state)
        try hostileSends(.offer(offer), to: server)
        for _ in 0...random.below(2) { try decide(handoff, otherwiseThan: ghost, to: server, &random) }
        // The same handoff with another state.
        if random.oneIn(2) {
            var other = ghost
            other.state = SimulatedPlayer.state(UInt64(100 + random.below(100)))
            let altered = FederationFrame.HandoffOffer(
                handoff: handoff, token: token(other, to: server), snapshot: other.state)
            try hostileSends(.offer(altered), to: server)
        }
    }

    /// Of a handoff by which it gives a player back: a decision that contradicts the offer, and, when the player has arrived, another
    /// state for them.
    func contradictOwn(_ random: inout SplitMix64) throws {
        let leaving = hostile.wards.keys.sorted().compactMap { hostile.wards[$0]?.leaving }
        guard !leaving.isEmpty else { return }
        let one = random.pick(leaving)
        guard let crossing = crossings[one.handoff], !crossing.isTouched, hostile.channels[one.destination] != nil
        else { return }
        let own = Said(
            handoff: crossing.id, player: players[crossing.player].id, epoch: crossing.epoch, state: crossing.state,
            decision: crossing.decision)
        if crossing.destinationState == .admitted {
            var other = own
            other.state = SimulatedPlayer.state(1 << 40)
            let altered = FederationFrame.HandoffOffer(
                handoff: crossing.id, token: token(other, to: one.destination), snapshot: other.state)
            try hostileSends(.offer(altered), to: one.destination)
        }
        try decide(crossing.id, otherwiseThan: own, to: one.destination, &random)
    }

    /// What a token of the hostile peer says.
    private struct Said {
        var handoff: HandoffID
        var player: PlayerID
        var epoch: Epoch
        var state: [UInt8]
        var decision: UInt64?
        /// By the number of a server; nil for the receiver's.
        var world: Int?
    }

    private func token(_ said: Said, to server: Int) -> String {
        hostileToken(
            said.handoff, said.player, to: server, epoch: said.epoch, revision: 1, state: said.state,
            decision: said.decision, world: said.world)
    }

    static func ghost(_ number: Int, of hostile: HostilePeer) -> PlayerID {
        PlayerID(name: PlayerName(unchecked: "ghost\(number)"), home: hostile.identity.id)
    }

    private func decide(
        _ handoff: HandoffID, otherwiseThan said: Said, to server: Int, _ random: inout SplitMix64
    ) throws {
        var altered = said
        var audience = server
        altered.decision = 1 << 20
        switch random.below(8) {
        case 0: altered.epoch = said.epoch.next ?? .first
        case 1: altered.epoch = Epoch(said.epoch.number - 1)
        case 2: altered.state = SimulatedPlayer.state(1 << 41)
        case 3: altered.player = Self.ghost(HostilePeer.ghosts, of: hostile)
        case 4: altered.handoff = try hostile.newHandoff()
        case 5: audience = (server + 1) % servers.count
        case 6: altered.world = (server + 1) % servers.count
        default: altered.decision = nil
        }
        let token = token(altered, to: audience)
        if random.oneIn(3) {
            let verdict = FederationFrame.HandoffVerdict(handoff: handoff, decision: .committed(token: token))
            try hostileSends(.verdict(verdict), to: server)
        } else {
            try hostileSends(.commit(FederationFrame.HandoffCommit(handoff: handoff, token: token)), to: server)
        }
    }

    // MARK: What is not about handoffs

    /// Cards, revocations and introductions that are not what they seem to be, questions, and answers to what nobody has asked.
    func makeUp(to server: Int, _ random: inout SplitMix64) throws {
        let victim = servers[random.below(servers.count)]
        let request = random.next() >> UInt64(1 + random.below(63))
        let frame: FederationFrame
        switch random.below(12) {
        case 0: frame = .notice(.card(try hostile.card(at: now.timestamp)))
        case 1: frame = .notice(.card(try card(of: victim.index)))
        case 2: frame = .notice(.card(try hostile.forgedCard(of: victim.id, at: now.timestamp)))
        case 3: frame = .notice(.card(altered(try card(of: victim.index), &random)))
        case 4: frame = .notice(.revocation(try hostile.forgedRevocation(of: victim.id, at: now.timestamp)))
        case 5, 6: frame = .introductions(.init(statements: try introductions(of: victim, &random)))
        case 7: frame = .probe(.init(request: request, server: victim.id))
        case 8: frame = .probeResult(.init(request: request, reached: true))
        case 9:
            frame = .assetRequest(
                .init(
                    request: request, hash: ContentHash.of(random.bytes(4)), offset: Int64(random.below(1 << 32)),
                    length: 1))
        case 10: frame = .assetResponse(.init(request: request, answer: .chunk(random.bytes(8))))
        default:
            frame = .worldResponse(
                .init(request: request, answer: .manifest(ContentHash.of(random.bytes(4)), size: 1 << 20)))
        }
        try hostileSends(frame, to: server)
    }

    /// Its own word for another, with the right key or a wrong one, others' words, and none.
    private func introductions(of victim: SimulatedServer, _ random: inout SplitMix64) throws -> [String] {
        var words: [String] = []
        for _ in 0...random.below(3) {
            let key = random.oneIn(2) ? victim.identity.publicKey : hostile.identity.publicKey
            let word = Introduction(
                issuer: hostile.identity.id, subject: victim.id, key: key,
                endpoint: try Self.endpoint(victim.id.rawValue), issuedAt: now.timestamp,
                expiresAt: now.timestamp + .seconds(600)
            ).issue(by: hostile.identity)
            words.append(random.oneIn(3) ? altered(word, &random) : word)
        }
        return words
    }

    private func altered(_ text: String, _ random: inout SplitMix64) -> String {
        var bytes = Array(text.utf8)
        bytes[random.below(bytes.count)] = UInt8(ascii: "A")
        return String(decoding: bytes, as: UTF8.self)
    }
}
