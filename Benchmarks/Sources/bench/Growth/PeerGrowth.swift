import Foundation

/// What an idle peer takes, and what its heartbeats cost, with one peer and with a thousand on this machine.
struct PeerGrowth {
    private static let counts = [1, 10, 100, 500, 1_000]
    /// Between these the memory of one peer is told: what the first ones bring with them is not theirs.
    private static let memory = (from: 100, to: 1_000)
    private static let windows = 7
    private static let window = Duration.seconds(3)
    private static let aim = 32.0

    func run(_ table: inout ResultTable) async throws {
        let bare = try sockets()
        let hub = try Child(.hub, ["--id", "peers"])
        defer { hub.end() }
        let crowd = try Child(.crowd, ["--id", "peers"])
        defer { crowd.end() }
        var residents: [Int: Double] = [:]
        var curve = GrowthCurve("heartbeat", beside: "nothing")
        var connected = 0
        for count in Self.counts {
            // One after the other: the crowd has one port, where the next peer is met.
            while connected < count {
                try hub.ask("peer", try crowd.ask("card", "\(connected)"))
                connected += 1
            }
            try await Task.sleep(for: .seconds(2))
            let costs = try await Self.heartbeats(hub, crowd)
            residents[count] = try hub.number("resident")
            table.add(
                Row(
                    GrowthPart.name, "processor time of a heartbeat, \(short(count)) connected",
                    values: costs.map { $0 / 1_000 }, unit: "µs", atMost: nil))
            // With one peer there are too few heartbeats to tell their cost from that of doing nothing.
            if count >= Self.memory.from { curve.add(count, costs.map { CostSample(ours: $0, lookUp: .nan) }) }
        }
        for row in curve.rows().prefix(1) { table.add(row) }
        guard let ours = Self.slope(residents), let theirs = Self.slope(bare) else { return }
        let name = "memory of an idle peer, \(short(Self.memory.from)) to \(short(Self.memory.to))"
        table.add(
            Row(GrowthPart.name, "\(name), the socket alone", ours: ours, theirs: theirs, unit: "KiB", atMost: nil))
        table.add(
            Row(
                GrowthPart.name, "\(name), above the socket's own", values: [ours - theirs], unit: "KiB",
                atMost: Self.aim))
    }

    /// What a heartbeat costs, in each window of time.
    private static func heartbeats(_ hub: Child, _ crowd: Child) async throws -> [Double] {
        var costs: [Double] = []
        for _ in 0..<windows {
            let (processor, heartbeats) = (try hub.number("processor"), try crowd.number("heartbeats"))
            try await Task.sleep(for: window)
            let sent = try crowd.number("heartbeats") - heartbeats
            costs.append((try hub.number("processor") - processor) / max(sent, 1))
        }
        return costs
    }

    /// Bytes with so many sockets that have only a WebSocket.
    private func sockets() throws -> [Int: Double] {
        let crowd = try Child(.crowd, ["--id", PeerHub.bare])
        defer { crowd.end() }
        let hub = try Child(.hub, ["--id", PeerHub.bare])
        defer { hub.end() }
        let port = try crowd.ask("port")
        var residents: [Int: Double] = [:]
        for number in 1...Self.memory.to {
            try hub.ask("socket", port)
            if number == Self.memory.from || number == Self.memory.to { residents[number] = try hub.number("resident") }
        }
        return residents
    }

    /// KiB of one more.
    private static func slope(_ residents: [Int: Double]) -> Double? {
        guard let large = residents[memory.to], let small = residents[memory.from] else { return nil }
        return (large - small) / Double(memory.to - memory.from) / 1_024
    }
}
