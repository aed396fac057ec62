@testable import FederationService

extension FederationServer {
    /// Batches of effects that wait behind those that the store has.
    var waitingBatches: Int { queue.count }
}
