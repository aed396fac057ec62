import Foundation

/// Durable crossings between two processes with SQLite and full sync, against bare SQLite commits of the same rows.
struct HandoffPart {
    static let name = "handoff"
    /// Players who cross at one time, and crossings a round: the rounds together have more than the 10,000 without which a
    /// thousandth says nothing.
    private static let loads: [(players: Int, crossings: Int)] = [(1, 1_440), (32, 1_536), (256, 2_560)]
    /// Long enough that nobody is returned: how many are under the default is a row of its own.
    private static let patientMilliseconds = 30_000
    private static let defaultMilliseconds = 200
    /// How many times what it must wait for a crossing may take.
    private static let latencyAim = 3.0
    private static let rateAim = 0.5
    /// Groups of bare commits below which a hundredth of them says nothing.
    private static let enoughGroups = 300

    func run(_ table: inout ResultTable) async throws {
        let folder = try Disk.folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let samples = try sample(in: folder.path)
        for load in Self.loads {
            let floor = try await CommitFloor(in: "\(folder.path)/floor-\(load.players)", samples: samples)
            defer { try? floor.close() }
            let pair = try ServerPair(
                in: "\(folder.path)/\(load.players)", acceptMilliseconds: Self.patientMilliseconds,
                players: load.crossings * Contest.allRounds)
            defer { pair.end() }
            try await measure(pair, floor, atOnce: load.players, crossings: load.crossings, &table)
        }
        try impatient(in: "\(folder.path)/impatient", &table)
    }

    /// One crossing whose durable steps are recorded. There are five, one after the other: prepare at the source, reserve at
    /// the destination, commit, admit, complete.
    ///
    /// - Returns: folders with databases of each step's rows, in the order of the steps.
    private func sample(in folder: String) throws -> [String] {
        let pair = try ServerPair(
            in: "\(folder)/sample", acceptMilliseconds: Self.patientMilliseconds, players: 1, records: true)
        defer { pair.end() }
        for server in [pair.alpha, pair.beta] { try server.ask("record") }
        try Self.requireAll(try pair.cross(1, atOnce: 1))
        // The destination sends its receipt when its last step is durable, and the source completes when its own is.
        let source = try pair.alpha.number("steps \(folder)/steps/alpha")
        let destination = try pair.beta.number("steps \(folder)/steps/beta")
        guard (source, destination) == (3, 2) else {
            throw Child.Failure(description: "a crossing has \(source) and \(destination) durable steps, not 3 and 2")
        }
        return ["alpha/0", "beta/0", "alpha/1", "beta/1", "alpha/2"].map { "\(folder)/steps/\($0)" }
    }

    private static func requireAll(_ times: CrossingTimes) throws {
        guard times.returned.isEmpty else {
            throw Child.Failure(description: "players were returned: \(times.returned)")
        }
    }

    private func measure(
        _ pair: ServerPair, _ floor: CommitFloor, atOnce: Int, crossings: Int, _ table: inout ResultTable
    ) async throws {
        var rounds: [CrossingTimes] = []
        var groups: [[Int64]] = []
        let contest = try await Contest(
            operations: crossings,
            [
                .init("crossings") { rounds.append(try pair.cross(crossings, atOnce: atOnce)) },
                .init("bare commits") { groups.append(try floor.write(crossings, grouped: atOnce)) },
            ], processorTime: { CPUTime.now + (try pair.processorTime()) })
        let load = "\(atOnce) at once"
        table.add(
            Row(
                Self.name, "crossings, \(load), bare commits", rate: contest, to: 1, by: \.wall, unit: "1/s",
                atLeast: atOnce == 256 ? Self.rateAim : nil))
        table.add(
            Row(
                Self.name, "processor time of a crossing, \(load), bare commits", cost: contest, to: 1, by: \.processor,
                unit: "µs", nanoseconds: 1_000))
        rounds = rounds.suffix(Contest.rounds)
        groups = groups.suffix(Contest.rounds)
        var times = CrossingTimes()
        for round in rounds { times += round }
        // A transaction of so many crossings' steps is what each of them waits for.
        let together = Double(min(atOnce, crossings))
        let roundTrip = try pair.roundTrip()
        let needed = roundTrip + contest.cost(1, by: \.wall) * together
        for (name, thousandths, values) in [
            ("p50", 500, \CrossingTimes.crossings), ("p99", 990, \.crossings), ("p99.9", 999, \.crossings),
            ("to the redirect, p50", 500, \.redirects), ("to the redirect, p99", 990, \.redirects),
        ] where !times[keyPath: values].isEmpty {
            let ratios = zip(rounds, contest.costs(1, by: \.wall)).map { round, floor in
                round.quantile(thousandths, of: values) / (roundTrip + floor * together)
            }
            table.add(
                Row(
                    Self.name, "latency, \(load), \(name)", ours: times.quantile(thousandths, of: values) / 1e6,
                    theirs: needed / 1e6, unit: "ms", rounds: ratios, atMost: name == "p99" ? Self.latencyAim : nil))
        }
        // The disk has slow moments of its own: how much of the latency is theirs.
        let commits = groups.flatMap { $0 }
        if commits.count >= Self.enoughGroups {
            let ratios = zip(rounds, groups).map { round, groups in
                round.quantile(990, of: \.crossings) / CrossingTimes.quantile(990, of: groups)
            }
            table.add(
                Row(
                    Self.name, "latency, \(load), p99, the p99 of its bare commits",
                    ours: times.quantile(990, of: \.crossings) / 1e6,
                    theirs: CrossingTimes.quantile(990, of: commits) / 1e6, unit: "ms", rounds: ratios, atMost: nil))
        }
        table.add(
            Row(
                Self.name, "returned of \(times.crossings.count + times.returnedCount), \(load)",
                ours: Double(times.returnedCount), theirs: nil, unit: "", atMost: nil))
    }

    /// How many are returned when the destination must accept within the default time.
    private func impatient(in folder: String, _ table: inout ResultTable) throws {
        guard let load = Self.loads.last else { return }
        let pair = try ServerPair(
            in: folder, acceptMilliseconds: Self.defaultMilliseconds, players: load.crossings * 2)
        defer { pair.end() }
        _ = try pair.cross(load.crossings, atOnce: load.players)
        let times = try pair.cross(load.crossings, atOnce: load.players)
        table.add(
            Row(
                Self.name, "returned of \(load.crossings), \(load.players) at once, by default",
                ours: Double(times.returnedCount), theirs: nil, unit: "", atMost: nil))
    }
}
