import FederationCrypto
public import FederationModel
import Metrics

/// "I am back": where this server's own dial does not get through, the peer's may, if it does not wait for the end of its pause.
extension FederationServer {
    /// A dial of a peer has failed. It is told by plain HTTP, signed, that this server lives, so that it dials at once; it
    /// believes nothing else of it (PROTOCOL.md, "Health").
    public func dialFailed(_ peer: ServerID, at endpoint: Endpoint) {
        let now = clock.now()
        // Whoever was suspended or denied while it was dialled hears nothing any more.
        guard let heartbeats, !node.isWindingDown, !isConnected(to: peer),
            let standing = node.standing(of: peer, at: now), standing.isPeer, standing.refusal == nil,
            returnNotices.begin(peer, at: now.instant)
        else { return }
        let statement = heartbeatStatement(to: peer)
        let isChosen = node.isChosen(endpoint, of: peer)
        let reach = reach(isChosen, isProvoked: !isChosen)
        Task {
            var isTaken = false
            do throws(Refusal) {
                try await heartbeats.send(statement, of: id, to: endpoint, within: reach)
                isTaken = true
                logger.info("\(peer) was told that this server is back")
            } catch {
                logger.debug("\(peer) was not told that this server is back", metadata: ["code": "\(error.code)"])
            }
            Counter(label: "aether_return_notices_total", dimensions: [("taken", "\(isTaken)")]).increment()
            returnNotices.ended(peer, isTaken: isTaken)
        }
    }

    /// A heartbeat of this server, for those with whom it has no channel, numbered upwards.
    ///
    /// - Parameter reader: the only one who takes it.
    func heartbeatStatement(to reader: ServerID) -> String {
        HeartbeatStatement(
            issuer: id, audience: reader, sequence: returnNotices.nextSequence(), issuedAt: clock.now().timestamp
        ).issue(by: node.identity)
    }
}
