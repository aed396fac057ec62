import FederationCore
import FederationModel
import FederationWire
import Testing

/// The promise: a player is playable on at most one server at any instant, and on exactly one once all servers are up
/// again; nothing of their state is lost or doubled.
@Suite("The promise")
struct PromiseTests {
    static let ada = PlayerID(name: PlayerName(unchecked: "ada"), home: ServerID(unchecked: "alpha"))

    /// Two nodes, and a player at the first one.
    private static func pair(seed: UInt64 = 1) throws -> (TestFederation, alpha: TestNode, beta: TestNode) {
        let federation = try TestFederation(["alpha", "beta"], seed: seed)
        let (alpha, beta) = (federation.node("alpha"), federation.node("beta"))
        try federation.connectAll()
        try federation.enter(ada, at: alpha)
        return (federation, alpha, beta)
    }

    @Test("there and back: the player goes through a portal with their state, and comes home with what they made of it")
    func thereAndBack() throws {
        let (federation, alpha, beta) = try Self.pair()
        let there = try federation.depart(Self.ada, from: alpha, to: beta.id)
        #expect(federation.playable(Self.ada).isEmpty)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [beta.id])
        #expect(alpha.store.handoffs[there]?.state == .completed && beta.store.handoffs[there]?.state == .admitted)
        try federation.redeem(there, at: beta)
        try federation.write(Self.ada, at: beta, number: 41)
        try federation.settle()
        try federation.depart(Self.ada, from: beta, to: alpha.id)
        try federation.settle()
        #expect(federation.playable(Self.ada) == [alpha.id])
        #expect(alpha.player(Self.ada)?.epoch == Epoch(3))
        #expect(alpha.player(Self.ada)?.state == [0, 0, 0, 0, 0, 0, 0, 41])
        try federation.checkRest()
    }

    /// What happens in the middle of a crossing there, a redemption, a write and a crossing back.
    private static func journey(
        _ federation: TestFederation, _ alpha: TestNode, _ beta: TestNode,
        disturbing disturb: (TestNode) throws -> Void
    ) throws {
        let there = try federation.depart(ada, from: alpha, to: beta.id)
        try federation.settle(disturb)
        if beta.isUp { try? federation.redeem(there, at: beta) }
        if beta.isUp, federation.playable(ada) == [beta.id] { try federation.write(ada, at: beta, number: 7) }
        try federation.settle(disturb)
        if beta.isUp, federation.playable(ada) == [beta.id] {
            _ = try? federation.depart(ada, from: beta, to: alpha.id)
        }
        try federation.settle(disturb)
    }

    /// How many effects each side carries out when nothing goes wrong.
    private static func undisturbed(_ side: (TestFederation) -> TestNode) throws -> Int {
        let (federation, alpha, beta) = try pair()
        let watched = side(federation)
        var count = 0
        try journey(federation, alpha, beta) { if $0 === watched { count += 1 } }
        return count
    }

    @Test("holds when a server dies before any one of its effects and comes back", arguments: ["alpha", "beta"])
    func crashAtEveryEffect(_ victim: String) throws {
        let effects = try Self.undisturbed { $0.node(victim) }
        #expect(effects > 15)
        for fatal in 0..<effects {
            for isGrouped in [false, true] {
                let (federation, alpha, beta) = try Self.pair(seed: UInt64(fatal + 1))
                let node = federation.node(victim)
                var count = 0
                try Self.journey(federation, alpha, beta) { next in
                    guard next === node else { return }
                    if isGrouped { node.persistAll() }
                    if count == fatal { federation.crash(node) }
                    count += 1
                }
                try federation.heal()
                try federation.check()
                try federation.checkRest()
            }
        }
    }

    @Test("holds when both servers die, each before any one of its effects")
    func crashBoth() throws {
        let effects = try Self.undisturbed { $0.node("alpha") }
        for first in 0..<effects {
            for second in stride(from: first % 3, to: effects, by: 3) {
                let (federation, alpha, beta) = try Self.pair(seed: UInt64(first * 100 + second + 1))
                var counts = (0, 0)
                try Self.journey(federation, alpha, beta) { next in
                    if next === alpha {
                        if counts.0 == first { federation.crash(alpha) }
                        counts.0 += 1
                    } else {
                        if counts.1 == second { federation.crash(beta) }
                        counts.1 += 1
                    }
                }
                try federation.heal()
                try federation.checkRest()
            }
        }
    }

    /// What the network does to one frame.
    enum Fate: String, Sendable, CaseIterable {
        case lost
        case cut
        case doubled
        case delayed
    }

    @Test("holds whatever happens to any one frame", arguments: Fate.allCases)
    func everyFrame(_ fate: Fate) throws {
        for unlucky in 0..<14 {
            let (federation, alpha, beta) = try Self.pair(seed: UInt64(unlucky + 1))
            var number = 0
            func befall() {
                for wire in federation.wires where wire.isOpen {
                    for toFirst in [true, false] {
                        guard !(toFirst ? wire.frames.0 : wire.frames.1).isEmpty else { continue }
                        number += 1
                        guard number == unlucky + 1 else { continue }
                        switch fate {
                        case .lost: federation.lose(wire, toFirst: toFirst, at: 0)
                        case .cut: federation.close(wire)
                        case .doubled: federation.deliver(wire, toFirst: toFirst, keeping: true)
                        case .delayed:
                            let frame = toFirst ? wire.frames.0[0] : wire.frames.1[0]
                            federation.lose(wire, toFirst: toFirst, at: 0)
                            if toFirst { wire.frames.0.append(frame) } else { wire.frames.1.append(frame) }
                        }
                        return
                    }
                }
            }
            try Self.journey(federation, alpha, beta) { _ in befall() }
            try federation.heal()
            try federation.checkRest()
        }
    }

    @Test("holds in three servers of which everything fails that can, in any order", arguments: UInt64(1)...100)
    func chaos(_ seed: UInt64) throws {
        var chaos = try Chaos(seed: seed)
        for _ in 0..<600 { try chaos.step() }
        try chaos.federation.heal()
        try chaos.federation.check()
        try chaos.federation.checkRest()
    }

    @Test("the same seed does the same again")
    func determinism() throws {
        var traces: [[String]] = []
        for _ in 0..<2 {
            var chaos = try Chaos(seed: 5)
            for _ in 0..<150 { try chaos.step() }
            traces.append(chaos.federation.trace)
        }
        #expect(traces[0] == traces[1])
        #expect(traces[0].count > 50)
    }
}

/// A federation to which random things happen.
struct Chaos {
    let federation: TestFederation
    private let players: [PlayerID]
    private var written: UInt64 = 0
    private var handoffs: [HandoffID] = []

    init(seed: UInt64) throws {
        federation = try TestFederation(["alpha", "beta", "gamma"], seed: seed)
        players = ["alpha", "beta"].map {
            PlayerID(name: PlayerName(unchecked: "p"), home: ServerID(unchecked: $0))
        }
        try federation.connectAll()
        for player in players { try federation.enter(player, at: federation.node(player.home.rawValue)) }
        try federation.settle()
    }

    private func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &federation.random) }

    mutating func step() throws {
        let node = federation.nodes[below(3)]
        let other = federation.nodes[below(3)]
        let player = players[below(players.count)]
        switch below(200) {
        case ..<90:
            let busy = federation.nodes.filter { $0.isUp && !$0.queue.isEmpty }
            if !busy.isEmpty { try federation.execute(busy[below(busy.count)]) }
        case ..<150: deliver()
        case ..<164: depart(player)
        case ..<170: write(player)
        case ..<176:
            if let handoff = handoffs.suffix(3).randomElement(using: &federation.random), node.isUp {
                try? federation.redeem(handoff, at: node)
            }
        case ..<182: federation.advance(by: .milliseconds(100 + below(below(6) == 0 ? 40_000 : 1_000)))
        case ..<190: if node !== other, federation.wire(node, other) == nil { try federation.connect(node, other) }
        case ..<192: federation.wire(node, other).map(federation.close)
        case ..<194: if node.isUp { federation.crash(node) }
        case ..<197: if !node.isUp { try federation.restart(node) }
        case ..<198: if node.isUp { node.persistAll() }
        case ..<199: node.clockOffset = below(2) == 0 ? .zero : .seconds(below(280) - 140)
        default: if node.isUp, node !== other { operate(node, other) }
        }
        try federation.check()
    }

    private func deliver() {
        let busy = federation.wires.filter { !$0.frames.0.isEmpty || !$0.frames.1.isEmpty }
        guard !busy.isEmpty else { return }
        let wire = busy[below(busy.count)]
        let toFirst = wire.frames.1.isEmpty || (!wire.frames.0.isEmpty && below(2) == 0)
        let waiting = toFirst ? wire.frames.0.count : wire.frames.1.count
        let index = below(5) == 0 ? below(waiting) : 0
        switch below(30) {
        case 0: federation.lose(wire, toFirst: toFirst, at: index)
        case 1, 2: federation.deliver(wire, toFirst: toFirst, at: index, keeping: true)
        default: federation.deliver(wire, toFirst: toFirst, at: index)
        }
    }

    private mutating func depart(_ player: PlayerID) {
        // Often the other server is not there, or the store has not caught up; then the node refuses.
        guard let source = federation.playable(player).first.map({ federation.node($0.rawValue) }) else { return }
        let other = federation.nodes[below(3)]
        guard source.isUp, source !== other else { return }
        if let handoff = try? federation.depart(player, from: source, to: other.id) { handoffs.append(handoff) }
    }

    private mutating func write(_ player: PlayerID) {
        guard let node = federation.playable(player).first.map({ federation.node($0.rawValue) }) else { return }
        written += 1
        try? federation.write(player, at: node, number: written)
    }

    private func operate(_ node: TestNode, _ other: TestNode) {
        let now = federation.now(of: node)
        switch below(3) {
        case 0:
            if let handoff = handoffs.last, let effects = try? node.node.callOff(handoff, at: now) {
                node.enqueue(effects)
            }
        case 1:
            if let effects = try? node.node.suspend(other.id, reason: "a test", at: now) { node.enqueue(effects) }
        default:
            if let effects = try? node.node.reinstate(other.id, at: now) { node.enqueue(effects) }
        }
    }
}
