import FederationCore
import FederationModel
import TestKit
import Testing

@Suite("ServerRegistry")
struct ServerRegistryTests {
    typealias Failure = ServerRegistry.Failure

    @Test("a new server starts offline and unheard, whatever the record says")
    func registering() throws {
        var registry = ServerRegistry()
        let offered = TableSamples.server("alpha", status: .online, heartbeat: 5)
        let change = try registry.register(offered)
        #expect(change == .registered(TableSamples.server("alpha")))
        #expect(registry.server(TableSamples.id("alpha")) == change.server)
        #expect(registry.count == 1 && registry.count(status: .offline) == 1 && registry.count(status: .online) == 0)
    }

    @Test("a newer record takes name and endpoint and keeps what was heard")
    func updating() throws {
        var registry = ServerRegistry()
        let id = TableSamples.id("alpha")
        try registry.register(TableSamples.server("alpha"))
        try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 50))
        let previous = try #require(registry.server(id))
        let newer = TableSamples.server(
            "alpha", name: "New", endpoint: TableSamples.endpoint("wss://new.org:1"), sequence: 2)
        guard case .updated(let now, let before) = try registry.register(newer) else {
            Issue.record("not an update")
            return
        }
        #expect(before == previous && now == registry.server(id))
        #expect(now.name == "New" && now.endpoint == newer.endpoint && now.recordSequence == 2)
        #expect(now.registeredAt == previous.registeredAt && now.status == .online)
        #expect(now.lastHeartbeat == Timestamp(milliseconds: 50))
    }

    static let refused: [(FederatedServer, Failure)] = {
        func sample(_ host: String) -> FederatedServer {
            TableSamples.server("beta", endpoint: TableSamples.endpoint("ws://\(host):7700"))
        }
        let beta = TableSamples.id("beta")
        func badKey(_ bytes: [UInt8]) -> FederatedServer {
            TableSamples.server("beta", key: PublicKey(bytes: bytes) ?? TableSamples.key(1))
        }
        let unreachable = ["0.0.0.0", "255.255.255.255", "[::]", "[0:0:0:0:0:0:0:0]", "[::0.0.0.0]"].map {
            (sample($0), Failure.invalidEndpoint(beta, sample($0).endpoint))
        }
        return unreachable + [
            (TableSamples.server(""), .invalidID), (TableSamples.server("Beta"), .invalidID),
            (TableSamples.server("a\n"), .invalidID),
            (TableSamples.server(String(repeating: "a", count: 65)), .invalidID),
            (TableSamples.server("beta", name: ""), .invalidName(beta)),
            (TableSamples.server("beta", name: "a\u{1B}b"), .invalidName(beta)),
            (TableSamples.server("beta", name: String(repeating: "a", count: 129)), .invalidName(beta)),
            (badKey([UInt8](repeating: 0, count: 32)), .invalidKey(beta)),
            (badKey([1] + [UInt8](repeating: 0, count: 31)), .invalidKey(beta)),
            (badKey([0xEC] + [UInt8](repeating: 0xFF, count: 30) + [0x7F]), .invalidKey(beta)),
            (badKey([UInt8](repeating: 0xFF, count: 32)), .invalidKey(beta)),
            (TableSamples.server("alpha"), .alreadyRegistered(TableSamples.id("alpha"))),
            (TableSamples.server("alpha", name: "Other", sequence: 4), .alreadyRegistered(TableSamples.id("alpha"))),
            (
                TableSamples.server("alpha", key: TableSamples.key(2), sequence: 9),
                .keyMismatch(TableSamples.id("alpha"))
            ),
        ]
    }()

    @Test("a record that may not stand there is refused and changes nothing", arguments: refused)
    func refusals(_ server: FederatedServer, _ failure: Failure) throws {
        var registry = ServerRegistry()
        let alpha = TableSamples.server("alpha", sequence: 4)
        try registry.register(alpha)
        #expect(throws: failure) { try registry.register(server) }
        #expect(registry.list(limit: 9) == [alpha])
        #expect(throws: Failure.self) { try registry.restore([alpha, server], tombstones: []) }
        #expect(registry.list(limit: 9) == [alpha])
    }

    @Test("what is not there cannot be changed")
    func notFound() {
        var registry = ServerRegistry()
        let id = TableSamples.id("alpha")
        #expect(throws: Failure.notFound(id)) { try registry.deregister(id) }
        #expect(throws: Failure.notFound(id)) { try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 0)) }
        #expect(throws: Failure.notFound(id)) { try registry.updateStatus(id, to: .online) }
        #expect(throws: Failure.notFound(id)) { try registry.suspend(id, reason: "") }
        #expect(throws: Failure.notFound(id)) { try registry.reinstate(id) }
        #expect(registry.server(id) == nil)
    }

    @Test("a heartbeat brings a server online, tells a change of status only, and never goes backwards")
    func heartbeats() throws {
        var registry = ServerRegistry()
        let id = TableSamples.id("alpha")
        try registry.register(TableSamples.server("alpha"))
        #expect(try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 100))?.status == .online)
        #expect(try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 100)) == nil)
        #expect(try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 101)) == nil)
        let backwards = Failure.heartbeatBackwards(
            id, newest: Timestamp(milliseconds: 101), offered: Timestamp(milliseconds: 100))
        #expect(throws: backwards) { try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 100)) }
        #expect(registry.server(id)?.lastHeartbeat == Timestamp(milliseconds: 101))
        try registry.updateStatus(id, to: .degraded)
        #expect(try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 102))?.status == .online)
    }

    @Test("online, degraded and offline become one another")
    func statuses() throws {
        var registry = ServerRegistry()
        let id = TableSamples.id("alpha")
        try registry.register(TableSamples.server("alpha"))
        let free: [ServerStatus] = [.online, .degraded, .offline]
        for from in free {
            for to in free {
                try registry.updateStatus(id, to: from)
                #expect(try registry.updateStatus(id, to: to).status == to)
                #expect(registry.list(status: to, limit: 9).map(\.id) == [id])
                for other in ServerStatus.allCases where other != to { #expect(registry.count(status: other) == 0) }
            }
        }
    }

    enum Escape: CaseIterable {
        case heartbeat, online, degraded, offline, newerRecord, suspendAgain, reregister, restoredTombstone
    }

    @Test("a suspension ends by reinstatement and nothing else", arguments: Escape.allCases)
    func suspension(_ escape: Escape) throws {
        var registry = ServerRegistry()
        let id = TableSamples.id("alpha")
        try registry.register(TableSamples.server("alpha"))
        try registry.updateStatus(id, to: .online)
        #expect(try registry.suspend(id, reason: "spam").status == .suspended)
        #expect(registry.suspensionReason(of: id) == "spam")
        switch escape {
        case .heartbeat:
            #expect(throws: Failure.suspended(id)) { try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 9)) }
        case .online: #expect(throws: Failure.suspended(id)) { try registry.updateStatus(id, to: .online) }
        case .degraded: #expect(throws: Failure.suspended(id)) { try registry.updateStatus(id, to: .degraded) }
        case .offline: #expect(throws: Failure.suspended(id)) { try registry.updateStatus(id, to: .offline) }
        case .newerRecord:
            #expect(try registry.register(TableSamples.server("alpha", sequence: 2)).server.status == .suspended)
        case .suspendAgain: #expect(try registry.suspend(id, reason: "more").status == .suspended)
        case .reregister:
            #expect(try registry.deregister(id).status == .suspended)
            #expect(try registry.register(TableSamples.server("alpha")).server.status == .suspended)
        case .restoredTombstone:
            try registry.deregister(id)
            let tombstones = registry.tombstones
            try registry.restore([], tombstones: tombstones)
            #expect(try registry.register(TableSamples.server("alpha")).server.status == .suspended)
        }
        #expect(registry.server(id)?.status == .suspended)
        #expect(registry.count(status: .suspended) == 1)
        #expect(registry.suspensionReason(of: id) == (escape == .suspendAgain ? "more" : "spam"))
        #expect(try registry.reinstate(id).status == .offline)
        #expect(registry.suspensionReason(of: id) == nil)
        #expect(try registry.recordHeartbeat(id, at: Timestamp(milliseconds: 99))?.status == .online)
    }

    @Test("reinstating a server that is not suspended changes nothing")
    func reinstating() throws {
        var registry = ServerRegistry()
        let id = TableSamples.id("alpha")
        try registry.register(TableSamples.server("alpha"))
        try registry.updateStatus(id, to: .online)
        #expect(try registry.reinstate(id).status == .online)
    }

    @Test("a removed server's id stays bound to its key")
    func tombstones() throws {
        var registry = ServerRegistry()
        let id = TableSamples.id("alpha")
        try registry.register(TableSamples.server("alpha", sequence: 7))
        try registry.deregister(id)
        #expect(registry.server(id) == nil && registry.count == 0 && registry.list(limit: 9).isEmpty)
        let tombstone = ServerTombstone(server: id, publicKey: TableSamples.key(1), isSuspended: false)
        #expect(registry.tombstone(id) == tombstone && registry.tombstones == [tombstone])
        let thief = TableSamples.server("alpha", key: TableSamples.key(2), sequence: 99)
        #expect(throws: Failure.keyMismatch(id)) { try registry.register(thief) }
        #expect(try registry.register(TableSamples.server("alpha")).server.status == .offline)
        #expect(registry.tombstone(id) == nil)
    }

    @Test("what was stored comes back as it was")
    func restoring() throws {
        let stored = [
            TableSamples.server("a", sequence: 3, status: .suspended, heartbeat: 7),
            TableSamples.server("b", status: .online),
        ]
        let gone = ServerTombstone(server: TableSamples.id("c"), publicKey: TableSamples.key(4), isSuspended: true)
        var registry = ServerRegistry()
        try registry.register(TableSamples.server("z"))
        try registry.restore(stored, tombstones: [gone])
        #expect(registry.list(limit: 9) == stored && registry.tombstones == [gone])
        #expect(throws: Failure.alreadyRegistered(TableSamples.id("a"))) {
            try registry.restore([stored[0], stored[0]], tombstones: [])
        }
        #expect(registry.list(limit: 9) == stored)
    }

    @Test("what was stored is listed in order, in whatever order it comes, and can be moved", arguments: [0, 1, 2_000])
    func restoredIndexes(_ count: Int) throws {
        var random = SeededGenerator(seed: 11)
        let stored = (0..<count).map { number in
            var server = TableSamples.server("s\(number)", status: ServerStatus.allCases[number % 4])
            server.worlds = (0..<(number % 3)).map { WorldID(unchecked: "w\($0)") }
            return server
        }
        let sorted = stored.sorted { $0.id < $1.id }
        for order in [stored, sorted, stored.shuffled(using: &random)] {
            var registry = ServerRegistry()
            try registry.restore(order, tombstones: [])
            #expect(registry.list(limit: count + 1) == sorted)
            for status in ServerStatus.allCases {
                let expected = sorted.filter { $0.status == status }
                #expect(registry.list(status: status, limit: count + 1) == expected)
                #expect(registry.count(status: status) == expected.count)
            }
            for world in [WorldID(unchecked: "w0"), WorldID(unchecked: "w1")] {
                let found = registry.search(RegistrySearch(world: world), after: nil, limit: count + 1)
                #expect(found.servers == sorted.filter { $0.worlds.contains(world) })
            }
            // Each is where it says that it is, so that it can be moved and taken out.
            for server in order {
                if server.status != .suspended { try registry.updateStatus(server.id, to: .degraded) }
                try registry.deregister(server.id)
            }
            #expect(registry.count == 0 && registry.list(limit: 1).isEmpty)
        }
    }

    @Test("a listing is sorted by id and its pages join up", arguments: [1, 2, 3, 100])
    func paging(_ limit: Int) throws {
        var registry = ServerRegistry()
        let names = (0..<50).map { "s\($0)" }
        for (index, name) in names.shuffled(using: &Self.random).enumerated() {
            try registry.register(TableSamples.server(name))
            try registry.updateStatus(TableSamples.id(name), to: ServerStatus.allCases[index % 4])
        }
        var all: [FederatedServer] = []
        while case let page = registry.list(after: all.last?.id, limit: limit), !page.isEmpty { all += page }
        #expect(all.map(\.id.rawValue) == names.sorted())
        for status in ServerStatus.allCases {
            var some: [FederatedServer] = []
            while case let page = registry.list(status: status, after: some.last?.id, limit: limit), !page.isEmpty {
                some += page
            }
            #expect(some == all.filter { $0.status == status })
            #expect(registry.count(status: status) == some.count)
        }
        #expect(registry.list(limit: 0).isEmpty && registry.list(limit: -1).isEmpty)
    }

    private static var random: SeededGenerator {
        get { SeededGenerator(seed: 5) }
        set { _ = newValue }
    }

    @Test("every refusal tells what, why and what to do, under its own code")
    func refusalTexts() {
        let id = TableSamples.id("alpha")
        let failures: [Failure] = [
            .alreadyRegistered(id), .hasLeft(id, 5), .notFound(id), .invalidID, .invalidName(id),
            .invalidEndpoint(id, TableSamples.endpoint()),
            .invalidKey(id), .keyMismatch(id),
            .heartbeatBackwards(id, newest: Timestamp(milliseconds: 2), offered: Timestamp(milliseconds: 1)),
            .suspended(id),
        ]
        let refusals = failures.map(\.refusal)
        #expect(Set(refusals.map(\.code)).count == failures.count)
        for refusal in refusals {
            #expect(Refusal.isCode(refusal.code) && refusal.step == .registry)
            #expect(!refusal.reason.isEmpty && !refusal.remedy.isEmpty && !refusal.description.contains("\n"))
        }
    }
}
