public import FederationCore
import FederationCrypto
public import FederationModel

/// A player who is here, and what happens to their crossings from the moment on of which the record tells.
public struct FollowedPlayer: Sendable {
    public let record: PlayerRecord
    /// For the client's next connection.
    public let ticket: String
    /// In order: everything that changes the record, and nothing that it contains already.
    public let updates: AsyncStream<PlayerUpdate>

    public var player: PlayerID { record.player }
}

/// Where a player's client belongs now.
public enum ClientStanding: Sendable {
    /// Here: the client may follow the player's crossings.
    case here(FollowedPlayer)
    /// The player has travelled on since the ticket was issued, and the client has missed it.
    case moved(HandoffID, Crossing.Redirect)
}

/// Players' own clients, on `/client`.
extension FederationServer {
    /// A client shows its ticket. One whose player has gone on with the ticket's epoch is sent after them, so that a
    /// connection that breaks in the wrong moment leaves nobody behind.
    public func join(ticket: String) async throws(Refusal) -> ClientStanding {
        do {
            return .here(try await redeem(ticket: ticket))
        } catch {
            guard error.code == "ticket.stale", let moved = try await follow(stale: ticket) else { throw error }
            return moved
        }
    }

    /// A client that came through a portal shows its session token. The source tells its client and this server at the same
    /// moment: when the client is the faster one, its answer waits for the decision, for at most `patience`.
    public func arrive(
        token: String, proof: [UInt8]?, challenge: [UInt8], within patience: Duration
    ) async throws(Refusal) -> FollowedPlayer {
        if let handoff = node.reservation(for: token, at: clock.now()) {
            // Subscribed in the same turn of the actor as the look at the ledger, so that the decision cannot fall between.
            let updates = try updates(of: handoff.player)
            await decision(on: handoff.id, in: updates, within: patience)
        }
        return try await arrive(token: token, proof: proof, challenge: challenge)
    }

    private nonisolated func decision(
        on id: HandoffID, in updates: AsyncStream<PlayerUpdate>, within patience: Duration
    ) async {
        let clock = clock
        let deadline = clock.now().instant + patience
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await update in updates {
                    switch update {
                    case .admitted(id), .withdrawn(id): return
                    case .admitted, .withdrawn, .progress, .verifying, .offered, .redirect, .returned, .completed,
                        .voided, .gone, .revoked:
                        break
                    }
                }
            }
            group.addTask { try? await clock.sleep(until: deadline) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Where the player of a ticket went with the next epoch; nil when they have been further since.
    private func follow(stale ticket: String) async throws(Refusal) -> ClientStanding? {
        guard let verified = try? verified(ticket: ticket) else { return nil }
        let record = try await player(verified.player)
        guard case .departed(_, let handoff) = record.presence, record.epoch == verified.epoch.next,
            let redirect = node.redirectToken(for: handoff, at: clock.now())
        else { return nil }
        return .moved(handoff, Crossing.Redirect(endpoint: redirect.endpoint, token: redirect.token))
    }
}
