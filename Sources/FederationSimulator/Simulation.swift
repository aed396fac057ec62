import FederationCore
import FederationCrypto
import FederationModel

/// One run: whole servers around the real core, under one seed.
///
/// Real are the node with its registry, handshakes, health, routing, ledger and players, the handshake messages, the
/// frames as bytes on the wire, tokens and receipts with their signatures. Simulated are time, network, disks, the effect queue of the
/// service (with its rules), operators, world servers and clients. After every event the invariants are checked for
/// what it has touched.
final class Simulation {
    enum Event {
        case deliver(wire: Int, first: Bool)
        case tick(server: Int, boot: Int, number: Int)
        case drain(server: Int, boot: Int)
        case synced(server: Int, boot: Int)
        case retry(server: Int, boot: Int)
        case dial(server: Int, boot: Int, peer: Int, dial: Int, pause: Int)
        case fault(schedule: Int)
        case die(server: Int, boot: Int)
        case restart(server: Int)
        case act(player: Int)
        case callOff(server: Int, HandoffID)
        case redeem(Redemption)
        case clockBack(server: Int)
        case reinstate(server: Int, peer: Int)
        case addPeer(server: Int, peer: Int)
        case routeOn(server: Int, peer: Int)
        case hostile
        case endGuard(server: Int, boot: Int, number: Int)
        case answer(server: Int, boot: Int, HandoffID, admits: Bool)
        case late(wire: Int, first: Bool, bytes: [UInt8])
        case waited(server: Int, HandoffID, since: Int64)
        case restCheck
    }

    /// A client that shows its token.
    struct Redemption {
        let handoff: HandoffID
        var token: String
        let source: Int
        let destination: Int
        var attempt = 0
    }

    /// The first moment on the wall clocks.
    static let epoch = Timestamp(milliseconds: 1_767_323_045_678)
    static let names = [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
        "xi", "omicron", "pi",
    ]

    let options: SimulationOptions
    var time: Int64 = 0
    var events = EventQueue<Event>()
    var servers: [SimulatedServer] = []
    let hostile: HostilePeer
    /// By number; nil once both ends know that it is closed.
    var wires: [SimulatedWire?] = []
    var players: [SimulatedPlayer] = []
    var playerNumbers: [PlayerID: Int] = [:]
    var serverNumbers: [ServerID: Int] = [:]
    var crossings: [HandoffID: SimulatedCrossing] = [:]
    /// Handoffs that nobody may ever reserve.
    var forged: Set<HandoffID> = []
    /// Handoffs of the hostile peer by which nobody may ever be admitted: it never decides them.
    var undecided: Set<HandoffID> = []
    /// The last handoffs, for those who guess ids.
    var recent: [HandoffID] = []
    var model: ReferenceModel
    var history: History
    var report: SimulationReport
    var manifests: [VerifiedManifest] = []
    /// By the numbers of two servers: until when nothing passes between them.
    var blockedUntil: [[Int64]]
    /// By the numbers of two servers: what is added to every delay, until when.
    var slowed: [[(until: Int64, by: Int64)]]
    /// By the numbers of two servers: what becomes of frames about handoffs between them.
    var disturbances: [[Disturbance]]
    /// Frames that are late, and on no wire.
    var lateFrames = 0

    // Chance, in streams of its own for each purpose.
    var network: SplitMix64
    var worlds: SplitMix64
    var disks: SplitMix64
    var entropy: SplitMix64

    var plan: FaultPlan
    var pendingFault: FaultPlan.Fault?
    /// Tells the event for the pending fault from those that a rest has overtaken.
    var faultSchedule = 0
    /// Simulated time in which no faults may happen, so far.
    var timeAtRest: Int64 = 0
    var restingSince: Int64?
    var roundBegan: Int64 = 0
    var roundCrossings = 0
    var round = 0
    var isOver = false
    var progress: ((Int) -> Void)?
    /// Players and servers that the event in hand has changed.
    var touchedPlayers: [Int] = []
    var touchedServers: [Int] = []

    init(_ options: SimulationOptions) throws {
        self.options = options
        let count = options.servers
        network = SplitMix64(seed: options.seed, stream: 1)
        worlds = SplitMix64(seed: options.seed, stream: 2)
        disks = SplitMix64(seed: options.seed, stream: 3)
        entropy = SplitMix64(seed: options.seed, stream: 4)
        plan = FaultPlan(seed: options.seed, kinds: options.faults, only: options.onlyFaults)
        history = History(keepsWords: options.keepsHistory, watched: options.watched)
        report = SimulationReport(seed: options.seed, servers: count)
        blockedUntil = Array(repeating: Array(repeating: .min, count: count + 1), count: count + 1)
        slowed = Array(repeating: Array(repeating: (until: .min, by: 0), count: count + 1), count: count + 1)
        disturbances = Array(repeating: Array(repeating: Disturbance(), count: count + 1), count: count + 1)
        for home in 0..<count {
            for number in 0..<options.playersPerServer {
                let id = PlayerID(
                    name: PlayerName(unchecked: "p\(number)"), home: ServerID(unchecked: Self.names[home]))
                playerNumbers[id] = players.count
                players.append(SimulatedPlayer(id: id, home: home, lastSeen: home))
            }
        }
        model = ReferenceModel(homes: players.map { .server($0.home) })
        hostile = try HostilePeer(seed: options.seed, index: count)
        try build()
    }

    /// Where a server is reached.
    static func endpoint(_ name: String) throws -> Endpoint {
        guard let endpoint = Endpoint("ws://\(name).example") else {
            throw SimulationFailure("\(name) is no host name")
        }
        return endpoint
    }

    static func world(of server: ServerID) -> WorldID { WorldID(unchecked: server.rawValue) }

    static func portal(to server: ServerID) -> PortalID { PortalID(unchecked: "to-\(server)") }

    /// Runs to the end of the last round, or to the first violation.
    func run() -> SimulationReport {
        do {
            while !isOver, let (at, event) = events.next() {
                time = at
                report.events += 1
                try handle(event)
                try checkTouched()
                try checkBounds()
                if report.events % 16_384 == 0 { progress?(report.crossings) }
            }
        } catch let violation as Violation {
            report.violation = violation
        } catch {
            report.violation = Violation(
                invariant: .modelAgrees, detail: "the simulation itself failed: \(error)", crossing: report.crossings)
        }
        report.seconds = Double(time) / Double(Span.second)
        report.digest = history.digest()
        report.history = history.words
        return report
    }

    private func handle(_ event: Event) throws {
        switch event {
        case .deliver(let wire, let first): try deliver(wire, first: first)
        case .tick(let server, let boot, let number):
            guard let server = running(server, boot, event) else { return }
            try tick(server, number)
        case .drain(let server, let boot):
            guard let server = running(server, boot, event) else { return }
            try drainQueue(server)
        case .synced(let server, let boot):
            guard let server = running(server, boot, event) else { return }
            try synced(server)
        case .retry(let server, let boot):
            guard let server = running(server, boot, event) else { return }
            write(server)
        case .dial(let server, let boot, let peer, let dial, let pause):
            guard let server = running(server, boot, event) else { return }
            try attempt(server, peer, dial: dial, pause: pause)
        case .fault(let schedule): try happen(schedule)
        case .die(let server, let boot):
            if servers[server].boot == boot { crash(servers[server], losingPower: disks.oneIn(2)) }
        case .restart(let server): try restart(servers[server])
        case .act(let player): try act(player)
        case .callOff(let server, let handoff): try callOff(handoff, at: servers[server])
        case .redeem(let redemption): try redeem(redemption)
        case .clockBack(let server): servers[server].wallOffset = 0
        case .reinstate(let server, let peer): try reinstate(peer, at: servers[server])
        case .addPeer(let server, let peer): try addPeer(peer, at: servers[server])
        case .routeOn(let server, let peer): try setRoute(to: peer, active: true, at: servers[server])
        case .hostile: try hostileTurn()
        case .endGuard(let server, let boot, let number): endGuard(servers[server], boot, number)
        case .answer(let server, let boot, let handoff, let admits):
            guard let server = running(server, boot, event) else { return }
            try answerArrival(handoff, admits: admits, at: server)
        case .late(let wire, let first, let bytes): arriveLate(bytes, over: wire, first: first)
        case .waited(let server, let handoff, let began): try checkWait(handoff, at: servers[server], since: began)
        case .restCheck: try checkRest()
        }
    }

    /// The server, when that life of it still runs. What comes while it stands still waits until it goes on.
    private func running(_ index: Int, _ boot: Int, _ event: Event) -> SimulatedServer? {
        let server = servers[index]
        guard server.isUp, server.boot == boot else { return nil }
        guard server.stalledUntil <= time else {
            events.schedule(event, at: server.stalledUntil)
            return nil
        }
        touchedServers.append(index)
        return server
    }

    /// Whether world servers, clients and operators reach the server now.
    func answers(_ server: SimulatedServer) -> Bool { server.isUp && server.stalledUntil <= time }

    // MARK: Time

    func now(of server: SimulatedServer) -> Now {
        Now(
            instant: Instant(nanoseconds: time + server.monotonicBase),
            timestamp: Self.epoch + .nanoseconds(time + server.wallOffset))
    }

    /// What a clock that is right shows.
    var now: Now { Now(instant: Instant(nanoseconds: time), timestamp: Self.epoch + .nanoseconds(time)) }

    func keepTime(_ server: SimulatedServer) {
        guard server.isUp, var deadline = server.node.nextDeadline else { return }
        if server.queue.count >= server.queuedBatches(at: time) {
            deadline = max(deadline, Instant(nanoseconds: time + server.monotonicBase + Span.second))
        }
        if let timer = server.timer, timer <= deadline { return }
        server.timer = deadline
        server.timerNumber += 1
        let (at, overflow) = deadline.nanoseconds.subtractingReportingOverflow(server.monotonicBase)
        events.schedule(
            .tick(server: server.index, boot: server.boot, number: server.timerNumber),
            at: max(time, overflow ? .max : at))
    }

    private func tick(_ server: SimulatedServer, _ number: Int) throws {
        guard number == server.timerNumber, server.timer != nil else { return }
        server.timer = nil
        if server.queue.count < server.queuedBatches(at: time) {
            note(.tick, server.index, 0) { "\(server.id): time passes" }
            try enqueue(server.node.tick(at: now(of: server)), at: server)
        }
        keepTime(server)
    }

    // MARK: Telling

    func note(_ tag: History.Tag, _ first: Int, _ second: UInt64, _ text: () -> String) {
        history.note(tag, at: time, first, second, text)
    }

    func violated(_ invariant: Invariant, _ detail: String) -> Violation {
        Violation(invariant: invariant, detail: detail, crossing: report.crossings)
    }

    /// A handoff as a number that is the same in every run.
    func number(of handoff: HandoffID) -> UInt64 {
        crossings[handoff].map { UInt64($0.number) } ?? .max
    }
}

/// The simulator could not do what it meant to.
struct SimulationFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
