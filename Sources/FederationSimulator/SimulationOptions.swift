package import FederationCore

/// What one run of the simulator is to do. The same options give the same run.
package struct SimulationOptions: Sendable {
    /// Everything that is left to chance follows from it.
    package var seed: UInt64
    /// Handoffs to begin; the run then comes to rest.
    package var crossings: Int
    /// Honest servers, 2 to 16. One hostile peer, whom all of them trust, comes on top.
    package var servers: Int
    /// Players at home on each server.
    package var playersPerServer: Int
    /// What may happen; everything unless said otherwise.
    package var faults: [FaultKind]
    /// The bug to plant; nil runs the real logic.
    package var mutant: PlantedBug?
    /// The numbers of the planned faults that happen, ascending; nil lets all of them happen. See ``Shrinker``.
    package var onlyFaults: [Int]?
    /// Crossings between two times at which the faults pause and everything must come to rest.
    package var crossingsPerRound: Int
    /// Whether to keep the last events in words. They cost time.
    package var keepsHistory: Bool
    /// Handoffs (`#25`) and players whose events alone are kept in words, besides those of whole servers; all when empty.
    package var watched: [String] = []

    package static let serverBounds = 2...16

    package init(
        seed: UInt64, crossings: Int = 1_000, servers: Int = 3, playersPerServer: Int = 6,
        faults: [FaultKind] = FaultKind.allCases, mutant: PlantedBug? = nil, onlyFaults: [Int]? = nil,
        crossingsPerRound: Int = 1_000, keepsHistory: Bool = false
    ) {
        precondition(Self.serverBounds.contains(servers), "a simulation has 2 to 16 servers")
        precondition(crossings > 0 && playersPerServer > 0 && crossingsPerRound > 0, "counts are positive")
        self.seed = seed
        self.crossings = crossings
        self.servers = servers
        self.playersPerServer = playersPerServer
        self.faults = faults
        self.mutant = mutant
        self.onlyFaults = onlyFaults
        self.crossingsPerRound = crossingsPerRound
        self.keepsHistory = keepsHistory
    }
}
