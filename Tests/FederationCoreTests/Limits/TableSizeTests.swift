import FederationCore
import FederationModel
import Testing

@Suite("Large tables")
struct TableSizeTests {
    /// Enough to tell work that grows with the table from work that grows with the answer, in an unoptimized build.
    static let size = 20_000

    @Test("a page of a large registry costs the page")
    func registry() throws {
        var registry = ServerRegistry()
        try registry.restore(
            (0..<Self.size).map { TableSamples.server("s\($0)", status: $0 == 7 ? .suspended : .online) },
            tombstones: [])
        let clock = ContinuousClock()
        let page = clock.measure {
            for _ in 0..<200 { #expect(registry.list(status: .suspended, limit: 10).count == 1) }
        }
        let all = clock.measure { #expect(registry.list(limit: .max).count == Self.size) }
        #expect(page < all * 20, "200 pages \(page), one full listing \(all)")
    }

    @Test("a tick costs what has come due")
    func health() {
        var monitor = HealthMonitor()
        for index in 0..<Self.size {
            monitor.watch(TableSamples.id("s\(index)"), at: TableSamples.at(Double(index) / 1_000))
        }
        let clock = ContinuousClock()
        let idle = clock.measure {
            for _ in 0..<1_000 { #expect(monitor.tick(at: TableSamples.at(29)).isEmpty) }
        }
        let due = clock.measure { #expect(monitor.tick(at: TableSamples.at(1_000)).count == Self.size) }
        #expect(idle < due * 5, "1,000 idle ticks \(idle), one full tick \(due)")
    }

    @Test("the routes of one server cost themselves")
    func routing() throws {
        var table = RoutingTable()
        for index in 0..<Self.size {
            try table.add(TableSamples.route("p\(index)", from: "s\(index % 1_000)", to: "away"))
        }
        let server = TableSamples.id("s5")
        let clock = ContinuousClock()
        let some = clock.measure {
            for _ in 0..<100 { #expect(table.routes(from: server).count == Self.size / 1_000) }
        }
        let all = clock.measure { #expect(table.routes(to: TableSamples.id("away")).count == Self.size) }
        #expect(some < all * 20, "100 short listings \(some), one full listing \(all)")
    }
}
