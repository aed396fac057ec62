import FederationModel
import Testing

@testable import FederationCore

@Suite("HealthMonitor")
struct HealthMonitorTests {
    let alpha = TableSamples.id("alpha")
    let beta = TableSamples.id("beta")

    static let thresholds: [(Int, Int, Duration, HealthThresholds.Failure?)] = [
        (1, 2, .milliseconds(1), nil), (3, 10, .seconds(30), nil), (1, .max, .seconds(86_400), nil),
        (0, 10, .seconds(30), .degradedTooLow(0)), (-1, 10, .seconds(30), .degradedTooLow(-1)),
        (3, 3, .seconds(30), .unreachableNotAbove(degraded: 3, unreachable: 3)),
        (3, 2, .seconds(30), .unreachableNotAbove(degraded: 3, unreachable: 2)),
        (3, 10, .zero, .invalidInterval(.zero)), (3, 10, .seconds(-30), .invalidInterval(.seconds(-30))),
        (3, 10, .microseconds(999), .invalidInterval(.microseconds(999))),
        (3, 10, .seconds(86_401), .invalidInterval(.seconds(86_401))),
    ]

    @Test("thresholds are checked", arguments: thresholds)
    func checked(_ degraded: Int, _ unreachable: Int, _ interval: Duration, _ failure: HealthThresholds.Failure?) {
        do throws(HealthThresholds.Failure) {
            _ = try HealthThresholds(degraded: degraded, unreachable: unreachable, interval: interval)
            #expect(failure == nil)
        } catch {
            #expect(error == failure)
            #expect(Refusal.isCode(error.refusal.code) && error.refusal.step == .health)
        }
    }

    @Test("failures one after another make healthy, degraded, unreachable; one success makes healthy")
    func failures() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        for count in 1...12 {
            let change = monitor.recordFailure(alpha, at: TableSamples.at(Double(count)))
            switch count {
            case 3: #expect(change == HealthChange.make(alpha, .healthy, .degraded, 3))
            case 10: #expect(change == HealthChange.make(alpha, .degraded, .unreachable, 10))
            default: #expect(change == nil)
            }
        }
        #expect(monitor.health(of: alpha)?.failures == 12)
        let back = monitor.recordSuccess(alpha, at: TableSamples.at(13))
        #expect(back == HealthChange.make(alpha, .unreachable, .healthy, 0))
        #expect(monitor.recordSuccess(alpha, at: TableSamples.at(14)) == nil)
        for count in 15...16 { #expect(monitor.recordFailure(alpha, at: TableSamples.at(Double(count))) == nil) }
        #expect(monitor.status(of: alpha) == .healthy)
        #expect(monitor.ignoredObservations == 0)
    }

    @Test("silence counts: each full interval is a failure, and not a moment sooner")
    func silence() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        #expect(monitor.nextDeadline == TableSamples.at(30))
        #expect(monitor.tick(at: TableSamples.at(29.999)).isEmpty)
        #expect(monitor.health(of: alpha)?.failures == 0)
        #expect(monitor.tick(at: TableSamples.at(30)).isEmpty)
        #expect(monitor.health(of: alpha)?.failures == 1)
        #expect(monitor.tick(at: TableSamples.at(30)).isEmpty)
        #expect(monitor.health(of: alpha)?.failures == 1)
        #expect(monitor.tick(at: TableSamples.at(89.9)).isEmpty)
        #expect(monitor.tick(at: TableSamples.at(90)) == [.make(alpha, .healthy, .degraded, 3)])
        #expect(monitor.tick(at: TableSamples.at(299.9)).isEmpty)
        #expect(monitor.tick(at: TableSamples.at(300)) == [.make(alpha, .degraded, .unreachable, 10)])
        #expect(monitor.nextDeadline == TableSamples.at(330))
    }

    @Test("a tick that comes late counts every interval that passed")
    func lateTick() {
        var monitor = HealthMonitor()
        monitor.watch(beta, at: TableSamples.at(0))
        monitor.watch(alpha, at: TableSamples.at(10))
        let changes = monitor.tick(at: TableSamples.at(300))
        #expect(changes == [.make(alpha, .healthy, .degraded, 9), .make(beta, .healthy, .unreachable, 10)])
        #expect(monitor.tick(at: TableSamples.at(310)) == [.make(alpha, .degraded, .unreachable, 10)])
    }

    @Test("an answer begins the interval anew, so that a peer who answers is never late")
    func answers() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        for second in stride(from: 29.0, through: 2_900, by: 29) {
            #expect(monitor.tick(at: TableSamples.at(second)).isEmpty)
            #expect(monitor.recordSuccess(alpha, at: TableSamples.at(second)) == nil)
            #expect(monitor.health(of: alpha)?.failures == 0)
        }
    }

    @Test("a failed attempt and the silence around it are one failure")
    func noDoubleCounting() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        monitor.recordFailure(alpha, at: TableSamples.at(20))
        #expect(monitor.tick(at: TableSamples.at(49)).isEmpty)
        #expect(monitor.health(of: alpha)?.failures == 1)
        _ = monitor.tick(at: TableSamples.at(50))
        #expect(monitor.health(of: alpha)?.failures == 2)
        // The failure at 40 lies in the interval that the tick has counted.
        monitor.recordFailure(alpha, at: TableSamples.at(40), now: TableSamples.at(51))
        #expect(monitor.health(of: alpha)?.failures == 2)
        #expect(monitor.ignoredObservations == 1)
    }

    @Test("an answer from before a tick counts, and its interval ends where it must")
    func answerBeforeTick() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        _ = monitor.tick(at: TableSamples.at(30))
        monitor.recordSuccess(alpha, at: TableSamples.at(25), now: TableSamples.at(31))
        #expect(monitor.health(of: alpha)?.failures == 0)
        #expect(monitor.nextDeadline == TableSamples.at(55))
        _ = monitor.tick(at: TableSamples.at(55))
        #expect(monitor.health(of: alpha)?.failures == 1)
        _ = monitor.tick(at: TableSamples.at(60))
        #expect(monitor.health(of: alpha)?.failures == 1)
    }

    @Test("observations that are stale, of the future or about strangers are ignored and counted")
    func ignored() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(100))
        for _ in 0..<9 { monitor.recordFailure(alpha, at: TableSamples.at(110)) }
        #expect(monitor.recordSuccess(alpha, at: TableSamples.at(109)) == nil)
        #expect(monitor.recordFailure(alpha, at: TableSamples.at(109)) == nil)
        #expect(monitor.recordSuccess(alpha, at: TableSamples.at(121), now: TableSamples.at(120)) == nil)
        #expect(monitor.recordFailure(alpha, at: TableSamples.at(121), now: TableSamples.at(120)) == nil)
        #expect(monitor.recordSuccess(beta, at: TableSamples.at(120)) == nil)
        #expect(monitor.ignoredObservations == 5)
        #expect(monitor.health(of: alpha)?.failures == 9)
        #expect(monitor.status(of: beta) == nil)
    }

    @Test("a forgotten server is silent for ever, and watching it again begins anew")
    func forgetting() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        _ = monitor.tick(at: TableSamples.at(90))
        monitor.watch(alpha, at: TableSamples.at(91))
        #expect(monitor.status(of: alpha) == .degraded)
        monitor.forget(alpha)
        monitor.forget(alpha)
        #expect(monitor.count == 0 && monitor.all.isEmpty && monitor.list(status: .degraded).isEmpty)
        #expect(monitor.tick(at: TableSamples.at(10_000)).isEmpty)
        monitor.watch(alpha, at: TableSamples.at(10_000))
        #expect(monitor.status(of: alpha) == .healthy)
        #expect(monitor.tick(at: TableSamples.at(10_090)) == [.make(alpha, .healthy, .degraded, 3)])
    }

    @Test("listings are sorted and by status")
    func listing() {
        var monitor = HealthMonitor()
        for (index, name) in ["c", "a", "b"].enumerated() {
            monitor.watch(TableSamples.id(name), at: TableSamples.at(0))
            for _ in 0..<(index * 5) { monitor.recordFailure(TableSamples.id(name), at: TableSamples.at(1)) }
        }
        #expect(monitor.all.map(\.server.rawValue) == ["a", "b", "c"])
        #expect(monitor.all.map(\.status) == [.degraded, .unreachable, .healthy])
        for status in HealthStatus.allCases {
            #expect(monitor.list(status: status) == monitor.all.filter { $0.status == status })
            #expect(monitor.count(status: status) == 1)
        }
    }

    @Test("at the end of the clock's range a tick still ends")
    func endOfTime() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: Instant(nanoseconds: .max - 1))
        #expect(monitor.tick(at: Instant(nanoseconds: .max)).isEmpty)
        monitor.watch(beta, at: Instant(nanoseconds: .min))
        #expect(monitor.tick(at: Instant(nanoseconds: .max)).map(\.to) == [.unreachable])
    }
}

extension HealthChange {
    static func make(_ server: ServerID, _ from: HealthStatus, _ to: HealthStatus, _ failures: Int) -> HealthChange {
        HealthChange(server: server, from: from, to: to, failures: failures)
    }
}
