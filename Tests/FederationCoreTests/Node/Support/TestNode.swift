import FederationCore
import FederationCrypto
import FederationModel
import FederationWire

/// The promise is broken, or the test could not be carried out.
struct Violation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// One node of a test federation with what surrounds it: a store, effects that wait to be carried out, and a wall clock that
/// may be wrong. Crashing loses everything but the store.
final class TestNode {
    /// What waits to be carried out.
    enum Item {
        case effect(Effect)
        /// The world's write of this number is durable when this comes up.
        case acknowledge(PlayerID, number: UInt64)
        /// The client is told that its token was taken.
        case redeemed(HandoffID)
    }

    let identity: ServerIdentity
    var configuration: NodeConfiguration
    var node: FederationNode
    var store = StoreTables()
    var queue: [Item] = []
    var isUp = true
    /// By how much the wall clock is wrong.
    var clockOffset: Duration = .zero
    var told: [CrossingEvent] = []
    var reported: [NodeEvent] = []
    var dialled: [ServerID] = []
    /// Servers that said to be back.
    var dialledNow: [ServerID] = []
    /// Servers whose cards were asked for.
    var fetched: [ServerID] = []
    private var nextChannel: UInt64 = 1

    var id: ServerID { identity.id }

    init(_ name: String, configuration: NodeConfiguration, seed: UInt8, at now: Now) throws {
        identity = try ServerIdentity(id: ServerID(unchecked: name), seed: [UInt8](repeating: seed, count: 32))
        self.configuration = configuration
        node = try FederationNode(
            identity: identity, configuration: configuration, restoring: StoredState(), at: now)
    }

    // What a test asks for as a value: a node itself cannot be copied into an expectation.

    var card: String? { node.card?.compact }

    var signedCard: FederationNode.SignedCard? { node.card }

    func channel(to other: TestNode) -> ChannelID? { node.channel(to: other.id) }

    func handoff(_ id: HandoffID) -> HandoffRecord? { node.ledger.record(id) }

    func newChannel() -> ChannelID {
        nextChannel += 1
        return ChannelID(nextChannel)
    }

    func enqueue(_ effects: [Effect]) {
        queue += effects.map(Item.effect)
    }

    func crash() {
        isUp = false
        queue = []
    }

    /// Comes back with what the store holds, and nothing else.
    func restart(at now: Now) throws {
        node = try FederationNode(identity: identity, configuration: configuration, restoring: store.state, at: now)
        isUp = true
        enqueue(node.start(at: now))
    }

    /// What a world server would be told: of the node when it runs, of its store when it does not.
    func player(_ player: PlayerID) -> PlayerRecord? {
        isUp ? node.players[player] : store.players[player]
    }

    /// Makes everything durable that waits to be, as a group commit does.
    func persistAll() {
        for index in queue.indices {
            guard case .effect(.persist(let changes)) = queue[index] else { continue }
            store.apply(changes)
            queue[index] = .effect(.persist([]))
        }
    }

    // MARK: Justification

    /// What a frame or a message says must be durable already.
    func justify(_ effect: Effect) throws {
        switch effect {
        case .send(let frame, on: _):
            guard let handoff = frame.handoff, let allowed = Self.states(of: frame) else { return }
            // A receipt may be repeated when the ledger has forgotten the handoff; the passage is the proof then, or that the
            // player has gone on.
            if case .admitted = frame, store.handoffs[handoff] == nil {
                guard store.state.passages.isEmpty else { return }
                if store.players.values.contains(where: { $0.presence.label == "departed" }) { return }
            }
            // Asked about one that is over, of a player who has been here again since.
            if case .verdict(let verdict) = frame, case .aborted = verdict.decision,
                let record = store.handoffs[handoff], record.state == .completed,
                let known = store.players[record.player], known.epoch > record.epoch
            {
                return
            }
            try justify("send \(frame.label)", handoff, allowed)
        case .notify(let event):
            guard let handoff = event.handoff else { return }
            // Who is known to have gone on before a restore does not come in.
            if event.kind.label == "withdrawn", let record = store.handoffs[handoff], record.state == .admitted,
                let known = store.players[event.player], known.epoch > record.epoch
            {
                return
            }
            try justify("tell \(event.kind.label)", handoff, Self.states(of: event.kind))
        case .persist, .close, .dial, .dialNow, .hangUp, .serveAsset, .assetAnswered, .worldAnswered, .report,
            .fetchCard:
            return
        }
    }

    private func justify(_ what: String, _ handoff: HandoffID, _ allowed: [HandoffState?]) throws {
        let durable = store.handoffs[handoff]?.state
        guard allowed.contains(durable) else {
            throw Violation("\(id) would \(what) while the store says \(durable?.rawValue ?? "nothing")")
        }
    }

    private static func states(of frame: FederationFrame) -> [HandoffState?]? {
        switch frame {
        case .offer: [.prepared, .committed, .completed, .aborted]
        case .accept: [.reserved, .admitted, .aborted]
        case .commit: [.committed, .completed]
        case .admitted: [.admitted]
        case .abort: [.aborted, nil]
        case .verdict(let verdict):
            switch verdict.decision {
            case .undecided: nil
            case .committed: [.committed, .completed]
            case .aborted: [.aborted, nil]
            }
        case .query: [.reserved, .admitted, .aborted]
        case .reject, .ready, .heartbeat, .acknowledgement, .worldRequest, .worldResponse, .assetRequest,
            .assetResponse, .position, .evidence, .recall, .notice, .introductions, .probe, .probeResult:
            nil
        }
    }

    private static func states(of kind: CrossingEvent.Kind) -> [HandoffState?] {
        switch kind {
        case .offered: [.prepared, .committed, .completed, .aborted]
        case .committed: [.committed, .completed]
        case .completed: [.completed]
        case .returned, .voided: [.aborted]
        case .reserved: [.reserved, .admitted, .aborted]
        case .admitted: [.admitted]
        case .withdrawn: [.aborted, nil]
        case .arriving, .turnedAway: [nil]
        case .withdrawnHere: [.committed, .completed, .admitted, .aborted, nil]
        }
    }
}
