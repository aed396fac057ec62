@testable import FederationService

extension TestServer {
    /// Waits until so many batches of effects wait behind those that the store has.
    func waits(_ batches: Int) async throws {
        while await server.waitingBatches < batches {
            try Task.checkCancellation()
            await Task.yield()
        }
    }
}

extension FederationServer {
    fileprivate var waitingBatches: Int { queue.count }
}
