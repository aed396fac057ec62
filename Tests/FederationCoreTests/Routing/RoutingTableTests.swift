import FederationCore
import FederationModel
import TestKit
import Testing

@Suite("RoutingTable")
struct RoutingTableTests {
    typealias Failure = RoutingTable.Failure
    let portal = TableSamples.portal("gate")

    @Test("a route is added, looked up, switched and removed")
    func life() throws {
        var table = RoutingTable()
        let route = TableSamples.route("gate")
        #expect(try table.add(route) == route)
        #expect(table.route(for: portal) == route && table.count == 1)
        #expect(try table.deactivate(portal).isActive == false)
        #expect(try table.deactivate(portal).isActive == false)
        #expect(table.route(for: portal)?.isActive == false)
        #expect(try table.activate(portal) == route)
        #expect(try table.remove(portal) == route)
        #expect(table.route(for: portal) == nil && table.count == 0)
        #expect(table.routes(from: route.source).isEmpty && table.routes(to: route.destination).isEmpty)
    }

    static let refused: [(PortalRoute, Failure)] = [
        (TableSamples.route("gate"), .duplicatePortal(TableSamples.portal("gate"))),
        (TableSamples.route("gate", to: "other"), .duplicatePortal(TableSamples.portal("gate"))),
        (TableSamples.route("loop", from: "away"), .toItself(TableSamples.portal("loop"))),
        (TableSamples.route(""), .invalidID("portal id")),
        (TableSamples.route(String(repeating: "a", count: 65)), .invalidID("portal id")),
        (TableSamples.route("p", from: ""), .invalidID("server id")),
        (TableSamples.route("p", to: "A"), .invalidID("server id")),
        (TableSamples.route("p", world: "a/b"), .invalidID("world id")),
    ]

    @Test("a route that may not stand there is refused and changes nothing", arguments: refused)
    func refusals(_ route: PortalRoute, _ failure: Failure) throws {
        var table = RoutingTable()
        let known = try table.add(TableSamples.route("gate"))
        #expect(throws: failure) { try table.add(route) }
        #expect(table.list(limit: 9) == [known])
    }

    @Test("what is not there cannot be changed")
    func notFound() {
        var table = RoutingTable()
        #expect(throws: Failure.routeNotFound(portal)) { try table.remove(portal) }
        #expect(throws: Failure.routeNotFound(portal)) { try table.activate(portal) }
        #expect(throws: Failure.routeNotFound(portal)) { try table.deactivate(portal) }
        #expect(throws: Failure.routeNotFound(portal)) {
            try table.resolve(
                portal, isTrusted: { _ in true }, registryStatus: { _ in .online }, health: { _ in .healthy })
        }
    }

    /// Registry, trust, health, route; what comes of it.
    struct Crossing: Sendable {
        let status: ServerStatus?
        let isTrusted: Bool
        let health: HealthStatus?
        let isActive: Bool

        static let all: [Crossing] = {
            let statuses: [ServerStatus?] = [nil] + ServerStatus.allCases
            let healths: [HealthStatus?] = [nil] + HealthStatus.allCases
            return statuses.flatMap { status in
                [true, false].flatMap { isTrusted in
                    healths.flatMap { health in
                        [true, false].map {
                            Crossing(status: status, isTrusted: isTrusted, health: health, isActive: $0)
                        }
                    }
                }
            }
        }()

        /// The first that refuses, in the order of the crossing.
        func failure(_ portal: PortalID, _ server: ServerID) -> (Failure, CrossingStep)? {
            if status == nil { return (.destinationUnknown(portal, server), .registry) }
            if status == .suspended { return (.destinationSuspended(portal, server), .registry) }
            if !isTrusted { return (.destinationUntrusted(portal, server), .handshake) }
            if health == nil || health == .unreachable { return (.destinationUnreachable(portal, server), .health) }
            return isActive ? nil : (.routeInactive(portal), .routing)
        }
    }

    /// Would fail if a place got the wrong route's spawn point, or none where there is one.
    @Test("resolving tells the place in the world", arguments: [nil, "1,2,3"])
    func resolvedPlace(spawn: String?) throws {
        var table = RoutingTable()
        let spawn = spawn.flatMap { SpawnPoint($0) }
        try table.add(TableSamples.route("before", world: "sea", spawn: SpawnPoint("9,9,9")))
        let route = try table.add(TableSamples.route("gate", spawn: spawn))
        try table.add(TableSamples.route("behind", world: "sea", spawn: SpawnPoint("8,8,8")))
        let resolved = try table.resolve(
            portal, isTrusted: { _ in true }, registryStatus: { _ in .online }, health: { _ in .degraded })
        #expect(resolved.destination == route.destination && resolved.world == route.world && resolved.spawn == spawn)
    }

    @Test("resolving names the first that refuses, in the order of a crossing", arguments: Crossing.all)
    func resolving(_ crossing: Crossing) throws {
        var table = RoutingTable()
        let route = try table.add(TableSamples.route("gate", isActive: crossing.isActive))
        let expected = crossing.failure(portal, route.destination)
        do throws(Failure) {
            let resolved = try table.resolve(
                portal,
                isTrusted: { $0 == route.destination && crossing.isTrusted },
                registryStatus: { $0 == route.destination ? crossing.status : nil },
                health: { $0 == route.destination ? crossing.health : nil })
            #expect(expected == nil)
            #expect(resolved.destination == route.destination && resolved.world == route.world)
            #expect(resolved.spawn == route.spawn)
            #expect(resolved.status == crossing.status && resolved.health == crossing.health)
        } catch {
            #expect(error == expected?.0)
            #expect(error.step == expected?.1 && error.refusal.step == expected?.1)
        }
    }

    @Test("every refusal tells what, why and what to do, under its own code")
    func refusalTexts() {
        let server = TableSamples.id("away")
        let failures: [Failure] = [
            .invalidID("portal id"), .toItself(portal), .duplicatePortal(portal), .routeNotFound(portal),
            .routeInactive(portal),
            .destinationUnknown(portal, server), .destinationSuspended(portal, server),
            .destinationUntrusted(portal, server),
            .destinationUnreachable(portal, server),
        ]
        let refusals = failures.map(\.refusal)
        #expect(Set(refusals.map(\.code)).count == failures.count)
        for refusal in refusals {
            #expect(Refusal.isCode(refusal.code))
            #expect(!refusal.reason.isEmpty && !refusal.remedy.isEmpty && !refusal.description.contains("\n"))
        }
        #expect(Failure.routeInactive(portal).refusal.code == "route.inactive")
    }

    @Test("ten thousand random acts leave the table and a dictionary the same", arguments: [UInt64(1), 2, 3])
    func model(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = RoutingTable()
        var model: [PortalID: PortalRoute] = [:]
        func list(_ isWanted: (PortalRoute) -> Bool) -> [PortalRoute] {
            model.values.filter(isWanted).sorted { $0.portal < $1.portal }
        }
        for step in 0..<10_000 {
            let name = "p\(Int.random(in: 0..<200, using: &random))"
            let portal = TableSamples.portal(name)
            let source = "s\(Int.random(in: 0..<8, using: &random))"
            let destination = "s\(Int.random(in: 0..<8, using: &random))"
            switch Int.random(in: 0..<6, using: &random) {
            case 0...2:
                let route = PortalRoute(
                    portal: portal, source: TableSamples.id(source), destination: TableSamples.id(destination),
                    world: WorldID(unchecked: "w\(Int.random(in: 0..<5, using: &random))"),
                    spawn: Bool.random(using: &random) ? SpawnPoint(x: Double(step), y: 0, z: -1) : nil,
                    isActive: Bool.random(using: &random))
                let isAllowed = model[portal] == nil && source != destination
                if isAllowed { model[portal] = route }
                #expect(((try? table.add(route)) != nil) == isAllowed)
            case 3...4:
                #expect((try? table.remove(portal)) == model.removeValue(forKey: portal))
            default:
                let isActive = Bool.random(using: &random)
                model[portal]?.isActive = isActive
                let changed = isActive ? try? table.activate(portal) : try? table.deactivate(portal)
                #expect(changed == model[portal])
            }
            #expect(table.route(for: portal) == model[portal])
            #expect(table.isActive(portal) == model[portal]?.isActive)
            #expect(table.destination(of: portal) == model[portal]?.destination)
            guard step.isMultiple(of: 50) else { continue }
            #expect(table.count == model.count)
            #expect(table.list(limit: .max) == list { _ in true })
            #expect(table.list(after: portal, limit: 5) == Array(list { $0.portal > portal }.prefix(5)))
            let server = TableSamples.id(source)
            #expect(table.routes(from: server) == list { $0.source == server })
            #expect(table.routes(to: server) == list { $0.destination == server })
            #expect(
                table.routes(to: server, after: portal, limit: 3)
                    == Array(list { $0.destination == server && $0.portal > portal }.prefix(3)))
        }
    }
}
