import FederationModel
import Testing

@testable import FederationCore

@Suite("Fair health")
struct HealthFairnessTests {
    let alpha = TableSamples.id("alpha")
    let beta = TableSamples.id("beta")

    static let recoveries: [(recovery: Int, acts: String, statuses: String)] = [
        // s: success, f: failure; H, D, U: the status after each. Thresholds 2 and 4.
        (1, "fffffs", "HDDUUH"), (1, "ffsffs", "HDHHDH"),
        (2, "ffffss", "HDDUDH"), (2, "ffss", "HDDH"), (2, "ffffsfss", "HDDUDDDH"),
        (3, "ffffssfsss", "HDDUDDDDDH"), (2, "fsfs", "HHHH"), (2, "ffsffffss", "HDDDDDUDH"),
        (2, "ffffssffs", "HDDUDHHDD"),
    ]

    @Test("a peer that failed must answer so often in a row, and one that did not need not", arguments: recoveries)
    func recovery(_ recovery: Int, _ acts: String, _ statuses: String) throws {
        var monitor = HealthMonitor(
            thresholds: try HealthThresholds(degraded: 2, unreachable: 4, recovery: recovery))
        monitor.watch(alpha, at: TableSamples.at(0))
        var seen = ""
        var told = HealthStatus.healthy
        for (second, act) in acts.enumerated() {
            let at = TableSamples.at(Double(second + 1))
            let change = act == "s" ? monitor.recordSuccess(alpha, at: at) : monitor.recordFailure(alpha, at: at)
            if let change {
                #expect(change.from == told)
                told = change.to
            }
            #expect(monitor.status(of: alpha) == told)
            seen += ["healthy": "H", "degraded": "D", "unreachable": "U"][told.rawValue] ?? "?"
        }
        #expect(seen == statuses)
    }

    @Test("two intervals of silence on the way back start the count of successes anew, and one does not")
    func silenceInRecovery() throws {
        var monitor = HealthMonitor(thresholds: try HealthThresholds(degraded: 2, unreachable: 4, recovery: 2))
        monitor.watch(alpha, at: TableSamples.at(0))
        #expect(monitor.tick(at: TableSamples.at(120)).map(\.to) == [.unreachable])
        #expect(monitor.recordSuccess(alpha, at: TableSamples.at(121))?.to == .degraded)
        #expect(monitor.tick(at: TableSamples.at(181)).isEmpty)
        #expect(monitor.recordSuccess(alpha, at: TableSamples.at(182)) == nil)
        // Heartbeats are an interval apart: one that is over before the answer is in says nothing.
        #expect(monitor.tick(at: TableSamples.at(212)).isEmpty)
        #expect(monitor.recordSuccess(alpha, at: TableSamples.at(212.1))?.to == .healthy)
        #expect(throws: HealthThresholds.Failure.recoveryTooLow(0)) { try HealthThresholds(recovery: 0) }
    }

    @Test("others' word puts unreachable off to the second, never heals, and ends with an answer")
    func vouching() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        #expect(monitor.tick(at: TableSamples.at(270)).map(\.to) == [.degraded])
        #expect(monitor.vouch(for: alpha, until: TableSamples.at(315), at: TableSamples.at(271)) == true)
        #expect(monitor.status(of: alpha) == .degraded)
        #expect(monitor.tick(at: TableSamples.at(300)).isEmpty)
        #expect(monitor.health(of: alpha)?.failures == 10)
        #expect(monitor.nextDeadline == TableSamples.at(315))
        #expect(monitor.tick(at: TableSamples.at(314.9)).isEmpty)
        #expect(monitor.tick(at: TableSamples.at(315)) == [.make(alpha, .degraded, .unreachable, 10)])
        // Too late now, and for those who are not watched.
        #expect(monitor.vouch(for: alpha, until: TableSamples.at(400), at: TableSamples.at(316)) == false)
        #expect(monitor.vouch(for: beta, until: TableSamples.at(400), at: TableSamples.at(316)) == false)
        #expect(monitor.status(of: alpha) == .unreachable)
        monitor.recordSuccess(alpha, at: TableSamples.at(317))
        #expect(monitor.status(of: alpha) == .healthy && monitor.health(of: alpha)?.vouchedUntil == nil)
    }

    @Test("a success ends the word, and failures after it count in full")
    func wordEnds() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        _ = monitor.tick(at: TableSamples.at(270))
        monitor.vouch(for: alpha, until: TableSamples.at(100_000), at: TableSamples.at(271))
        monitor.recordSuccess(alpha, at: TableSamples.at(272))
        #expect(monitor.tick(at: TableSamples.at(572)).map(\.to) == [.unreachable])
    }

    @Test("others are asked from two failures before the last, once per failure")
    func doubt() {
        var monitor = HealthMonitor()
        monitor.watch(alpha, at: TableSamples.at(0))
        var asked: [Int] = []
        for failure in 1...12 {
            _ = monitor.tick(at: TableSamples.at(Double(failure) * 30))
            if monitor.takeDoubtful() == [alpha] { asked.append(failure) }
            #expect(monitor.takeDoubtful().isEmpty)
            if failure == 9 {
                monitor.vouch(for: alpha, until: TableSamples.at(345), at: TableSamples.at(271))
            }
        }
        #expect(asked == [8, 9, 10, 11])
        #expect(monitor.status(of: alpha) == .unreachable)
    }

    // MARK: Questions

    @Test("two are asked, in turn, and only answers that were asked for count")
    func questions() throws {
        var questions = IndirectProbeQuestions(interval: .seconds(30))
        let helpers = ["c", "d", "e"].map(TableSamples.id)
        let now = TableSamples.at(0)
        let first = questions.ask(about: beta, of: helpers, at: now)
        #expect(first.count == 2 && Set(first.map(\.asked)).count == 2)
        let second = questions.ask(about: alpha, of: helpers, at: now)
        #expect(Set((first + second).map(\.asked)) == Set(helpers))
        #expect(questions.ask(about: beta, of: [], at: now).isEmpty)
        let question = try #require(first.first)
        let other = try #require(first.last)
        for (request, by) in [(question.request, other.asked), (99, question.asked)] {
            #expect(questions.answered(request, by: by, isReached: true, at: TableSamples.at(1)) == nil)
        }
        let word = questions.answered(question.request, by: question.asked, isReached: true, at: TableSamples.at(1))
        #expect(word?.target == beta && word?.until == TableSamples.at(61))
        #expect(
            questions.answered(question.request, by: question.asked, isReached: true, at: TableSamples.at(1)) == nil)
        #expect(questions.answered(other.request, by: other.asked, isReached: false, at: TableSamples.at(1)) == nil)
        // An interval later an answer says nothing about now.
        let late = try #require(second.first)
        #expect(questions.answered(late.request, by: late.asked, isReached: true, at: TableSamples.at(30)) == nil)
    }

    @Test("others' word counts for ten intervals, and again when the peer has answered")
    func bounded() throws {
        var questions = IndirectProbeQuestions(interval: .seconds(30))
        let helper = TableSamples.id("c")
        var last: Instant?
        for interval in 0..<20 {
            let now = TableSamples.at(Double(interval) * 30)
            for question in questions.ask(about: beta, of: [helper], at: now) {
                last = questions.answered(question.request, by: helper, isReached: true, at: now)?.until ?? last
            }
        }
        #expect(last == TableSamples.at(300))
        questions.settle(beta)
        #expect(questions.ask(about: beta, of: [helper], at: TableSamples.at(700)).count == 1)
    }

    @Test("no more questions wait than may")
    func manyQuestions() {
        var questions = IndirectProbeQuestions(interval: .seconds(30))
        for number in 0..<2_000 {
            _ = questions.ask(
                about: TableSamples.id("t\(number)"), of: ["c", "d"].map(TableSamples.id), at: TableSamples.at(0))
        }
        #expect(questions.openCount == IndirectProbeQuestions.maximumOpen)
        #expect(questions.ask(about: beta, of: [alpha], at: TableSamples.at(30)).count == 1)
        #expect(questions.openCount == 1)
    }

    // MARK: Answers

    static let verdicts: [(isConnected: Bool, heard: Double?, asker: String, verdict: IndirectProbeAnswers.Verdict)] =
        [
            (false, nil, "a", .answer(isReached: false)), (false, 9.9, "a", .answer(isReached: false)),
            (true, 9.5, "a", .answer(isReached: true)), (true, 9.0, "a", .probe), (true, nil, "a", .probe),
            (true, 9.9, "beta", .answer(isReached: false)),
        ]

    @Test("only about peers on an open channel, with news or by a heartbeat", arguments: verdicts)
    func verdict(_ isConnected: Bool, _ heard: Double?, _ asker: String, _ verdict: IndirectProbeAnswers.Verdict) {
        var answers = IndirectProbeAnswers(interval: .seconds(30))
        let given = answers.ask(
            1, by: TableSamples.id(asker), about: beta, isConnected: isConnected, heardAt: heard.map(TableSamples.at),
            at: TableSamples.at(10))
        #expect(given == verdict)
        #expect(answers.waitingCount == (verdict == .probe ? 1 : 0))
    }

    @Test("who waits is told when the target answers, or that it did not")
    func waiting() {
        var answers = IndirectProbeAnswers(interval: .seconds(30))
        let gamma = TableSamples.id("gamma")
        for (request, target) in [(UInt64(1), beta), (2, gamma), (3, beta)] {
            #expect(
                answers.ask(
                    request, by: alpha, about: target, isConnected: true, heardAt: nil, at: TableSamples.at(0))
                    == .probe)
        }
        #expect(answers.nextDeadline == TableSamples.at(5))
        #expect(answers.heard(from: beta).map(\.request) == [1, 3])
        #expect(answers.heard(from: beta).isEmpty)
        #expect(answers.expire(at: TableSamples.at(4.9)).isEmpty)
        #expect(answers.expire(at: TableSamples.at(5)).map(\.request) == [2])
        #expect(answers.nextDeadline == nil)
    }

    @Test("an asker has so many questions in an interval, and all together so many that wait")
    func rates() {
        var answers = IndirectProbeAnswers(interval: .seconds(30))
        func ask(_ asker: String, _ request: Int, _ time: Double) -> IndirectProbeAnswers.Verdict {
            answers.ask(
                UInt64(request), by: TableSamples.id(asker), about: beta, isConnected: true, heardAt: nil,
                at: TableSamples.at(time))
        }
        for request in 0..<32 { #expect(ask("a", request, 0) == .probe) }
        #expect(ask("a", 33, 29.9) == .answer(isReached: false))
        #expect(ask("a", 34, 30) == .probe)
        for asker in 0..<8 { for request in 0..<32 { _ = ask("s\(asker)", request, 31) } }
        #expect(answers.waitingCount == IndirectProbeAnswers.maximumWaiting)
        #expect(ask("z", 1, 31) == .answer(isReached: false))
        answers.forget(TableSamples.id("s1"))
        #expect(ask("z", 2, 31) == .probe)
    }
}
