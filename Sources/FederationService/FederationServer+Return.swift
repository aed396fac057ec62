import FederationCrypto
public import FederationModel
import Metrics

/// "I am back": where this server's own dial does not get through, the peer's may, if it does not wait for the end of its pause.
extension FederationServer {
    /// A dial of a peer has failed. It is told by plain HTTP, signed, that this server lives, so that it dials at once; it
    /// believes nothing else of it (PROTOCOL.md, "Health").
    public func dialFailed(_ peer: ServerID, at endpoint: Endpoint) {
        guard let heartbeats, !isStopping, node.peers[peer] != nil, !isConnected(to: peer),
            returnNotices.begin(peer, at: clock.now().instant)
        else { return }
        let statement = heartbeatStatement()
        let reach = ExaminationReach(
            isOperatorsChoice: isPinned(peer), denied: node.policy.deniedAddresses,
            isProvoked: !isPinned(peer))
        Task {
            do throws(Refusal) {
                try await heartbeats.send(statement, of: id, to: endpoint, within: reach)
                logger.info("\(peer) was told that this server is back")
                Counter(label: "aether_return_notices_total", dimensions: [("taken", "true")]).increment()
            } catch {
                logger.debug("\(peer) was not told that this server is back", metadata: ["code": "\(error.code)"])
                Counter(label: "aether_return_notices_total", dimensions: [("taken", "false")]).increment()
            }
            returnNotices.ended(peer)
        }
    }

    /// A heartbeat of this server, for those with whom it has no channel, numbered upwards.
    func heartbeatStatement() -> String {
        HeartbeatStatement(
            issuer: id, sequence: returnNotices.nextSequence(), issuedAt: clock.now().timestamp
        ).issue(by: node.identity)
    }
}
