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
        try checkCounts(verified.source)
        guard case .departed(_, let handoff) = record.presence, record.epoch == verified.epoch.next,
            let redirect = node.redirectToken(for: handoff, at: clock.now())
        else { return nil }
        return .moved(handoff, Crossing.Redirect(endpoint: redirect.endpoint, token: redirect.token))
    }

    // MARK: Tickets and tokens

    /// A ticket with which a player's own client may follow them on `/client`. Valid for this epoch only.
    public func ticket(for record: PlayerRecord) -> String { ticket(for: record, from: nil) }

    private func ticket(for record: PlayerRecord, from source: ClientTicket.Source?) -> String {
        ClientTicket(
            issuer: id, player: record.player, world: record.world, epoch: record.epoch,
            expiresAt: clock.now().timestamp + Self.ticketLifetime, source: source
        ).issue(by: node.identity)
    }

    /// Checks a ticket that a client shows, and follows its player from the answer on.
    public func redeem(ticket: String) async throws(Refusal) -> FollowedPlayer {
        let verified: ClientTicket
        do {
            verified = try self.verified(ticket: ticket)
        } catch {
            throw Refusal(
                .forbidden, code: "ticket.refused", reason: "the ticket \(error.reason)",
                remedy: "ask the world server for a new one")
        }
        // Also where it is stale: who is let in no more is not sent after the player either.
        let source = verified.source
        try checkCounts(source)
        guard let record = node.players[verified.player] else {
            throw PlayerTable.Failure.notFound(verified.player).refusal
        }
        guard record.epoch == verified.epoch else {
            // What has made it stale is durable before it is told.
            try await commit([])
            throw Refusal(
                .forbidden, code: "ticket.stale",
                reason: "\(verified.player) has travelled since the ticket was issued",
                remedy: "ask the world server for a new one")
        }
        try checkReady()
        return try await followed(
            record, [], from: source, vouchedBy: subscribers.voucher(of: id, source?.server ?? id))
    }

    /// The number of the newest revocation of a server's keys that is known here; 0 before the first.
    private func revocation(of server: ServerID) -> UInt64 { node.bindings[server]?.revocation ?? 0 }

    private func checkCounts(_ source: ClientTicket.Source?) throws(Refusal) {
        if let source, revocation(of: source.server) > source.revocation { throw Self.revoked(source.server) }
    }

    /// The ticket, when this server has signed it with a key that counts now and its time is not over.
    func verified(ticket: String) throws(StatementFailure) -> ClientTicket {
        // Nothing that a dead id has signed counts.
        guard !node.ownKeys.isDead else { throw .badSignature }
        let now = clock.now().timestamp
        return try ClientTicket.verify(ticket, issuer: id, key: node.ticketKey(for: ticket, at: now), at: now)
    }

    /// A client that came through a portal shows its session token; see ``FederationNode/redeem(_:proof:challenge:at:)``.
    /// Its player is followed from the answer on.
    public func arrive(token: String, proof: [UInt8]?, challenge: [UInt8]) async throws(Refusal) -> FollowedPlayer {
        try checkReady()
        guard !node.ownKeys.isDead else { throw Self.revoked(id, isDead: true) }
        let (record, effects) = try node.redeem(token, proof: proof, challenge: challenge, at: clock.now())
        // It is verified by now.
        let issuer = (try? SessionToken.unverifiedIssuer(token)) ?? id
        let source = ClientTicket.Source(server: issuer, revocation: revocation(of: issuer))
        do {
            return try await followed(record, effects, from: source, vouchedBy: subscribers.voucher(of: issuer))
        } catch {
            // The client is told that it may try again, so it must be able to.
            for case .putHandoff(let handoff) in effects.flatMap(\.changes) {
                enqueue(node.takeBackRedemption(of: handoff.id))
            }
            throw error
        }
    }

    /// The player for a client whose credential counts, from when the effects are durable. Nobody is given a ticket under the
    /// present key who was let in by one that was revoked meanwhile.
    private func followed(
        _ record: PlayerRecord, _ effects: [Effect], from source: ClientTicket.Source?,
        vouchedBy voucher: Subscribers.Voucher
    ) async throws(Refusal) -> FollowedPlayer {
        let updates = try await commit(effects, following: record.player, vouchedBy: voucher)
        guard !node.ownKeys.isDead else { throw Self.revoked(id, isDead: true) }
        try checkCounts(voucher)
        return FollowedPlayer(record: record, ticket: ticket(for: record, from: source), updates: updates)
    }

    func checkCounts(_ voucher: Subscribers.Voucher) throws(Refusal) {
        if let server = subscribers.revoked(since: voucher) { throw Self.revoked(server) }
    }

    /// Why a client is let in no more, or never.
    ///
    /// - Parameter isDead: whether it is this server itself, whose owner has left no key in the place of the revoked ones.
    public static func revoked(_ server: ServerID, isDead: Bool = false) -> Refusal {
        isDead
            ? Refusal(
                .forbidden, code: "client.revoked", reason: "the owner of \(server) has revoked it for good",
                remedy: "go to another server; this one lets nobody in any more")
            : Refusal(
                .forbidden, code: "client.revoked",
                reason: "the owner of \(server) has revoked the key by which this client was let in",
                remedy: "ask the world server for a new ticket")
    }

    /// Fresh bytes for a client to sign.
    public func challenge() -> [UInt8] { entropy.bytes(32) }

    private static let ticketLifetime: Duration = .seconds(24 * 3_600)
}
