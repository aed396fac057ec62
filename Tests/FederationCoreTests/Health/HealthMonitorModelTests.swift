import FederationCore
import FederationModel
import TestKit
import Testing

/// The monitor against the simplest thing that could be right: every peer looked at on every tick.
@Suite("HealthMonitor against a model")
struct HealthMonitorModelTests {
    struct Model {
        struct Peer {
            var failures = 0
            var observed: Int64
            var silentSince: Int64
        }

        var peers: [ServerID: Peer] = [:]
        var ignored: UInt64 = 0
        let interval: Int64 = 30

        func status(_ id: ServerID) -> HealthStatus? {
            peers[id].map { $0.failures >= 10 ? .unreachable : $0.failures >= 3 ? .degraded : .healthy }
        }

        mutating func observe(_ id: ServerID, _ time: Int64, _ isSuccess: Bool) {
            guard let peer = peers[id], time >= peer.observed, isSuccess || time >= peer.silentSince else {
                ignored += 1
                return
            }
            peers[id] = Peer(failures: isSuccess ? 0 : peer.failures + 1, observed: time, silentSince: time)
        }

        mutating func tick(_ now: Int64) {
            for id in peers.keys {
                while let peer = peers[id], peer.silentSince + interval <= now {
                    peers[id]?.failures += 1
                    peers[id]?.silentSince += interval
                }
            }
        }
    }

    private static func instant(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    @Test("ten thousand random acts leave both the same", arguments: [UInt64(1), 2, 3, 4, 5])
    func model(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var monitor = HealthMonitor()
        var model = Model()
        var now: Int64 = 0
        var told: [ServerID: HealthStatus] = [:]
        var changes = 0
        for step in 0..<10_000 {
            let id = TableSamples.id("s\(Int.random(in: 0..<20, using: &random))")
            let time = now - Int64.random(in: 0..<40, using: &random)
            var news: [HealthChange] = []
            switch Int.random(in: 0..<12, using: &random) {
            case 0:
                monitor.watch(id, at: Self.instant(now))
                if model.peers[id] == nil {
                    model.peers[id] = Model.Peer(observed: now, silentSince: now)
                    told[id] = .healthy
                }
            case 1 where step.isMultiple(of: 3):
                monitor.forget(id)
                model.peers[id] = nil
                told[id] = nil
            case 1...3:
                news = [monitor.recordSuccess(id, at: Self.instant(time), now: Self.instant(now))].compactMap(\.self)
                model.observe(id, time, true)
            case 4...6:
                news = [monitor.recordFailure(id, at: Self.instant(time), now: Self.instant(now))].compactMap(\.self)
                model.observe(id, time, false)
            default:
                now += Int64.random(in: 0..<25, using: &random)
                news = monitor.tick(at: Self.instant(now))
                model.tick(now)
                #expect(news.map(\.server) == news.map(\.server).sorted())
            }
            for change in news {
                #expect(change.from == told[change.server] && change.from != change.to)
                told[change.server] = change.to
                changes += 1
            }
            #expect(monitor.status(of: id) == model.status(id), "step \(step)")
            #expect(monitor.health(of: id)?.failures == model.peers[id]?.failures)
            #expect(monitor.ignoredObservations == model.ignored)
            guard step.isMultiple(of: 100) else { continue }
            for peer in model.peers.keys { #expect(told[peer] == model.status(peer)) }
            #expect(monitor.all.map(\.server) == model.peers.keys.sorted())
            if let first = model.peers.values.map({ $0.silentSince + 30 }).min() {
                #expect((monitor.nextDeadline ?? Self.instant(.max / 2_000_000_000)) <= Self.instant(first))
            }
        }
        #expect(changes > 500)
    }
}
