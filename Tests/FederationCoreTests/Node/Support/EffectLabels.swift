import FederationCore
import FederationModel
import FederationWire

/// Effects in words, so that a test can write down what it expects in the order in which it must come.
extension Effect {
    var label: String {
        switch self {
        case .persist(let changes): "persist " + changes.map(\.label).joined(separator: " + ")
        case .send(let frame, on: _): "send \(frame.label)"
        case .close(_, let code): "close \(code)"
        case .dial(let server, _): "dial \(server)"
        case .fetchCard(let server, _): "fetch card of \(server)"
        case .dialNow(let server): "dial \(server) now"
        case .hangUp(let server): "hang up \(server)"
        case .serveAsset: "serve asset"
        case .assetAnswered(_, let server): "asset answered by \(server)"
        case .worldAnswered(_, let server): "world answered by \(server)"
        case .notify(let event): "tell \(event.kind.label)"
        case .report(let event): "report \(event.label)"
        }
    }
}

extension [Effect] {
    var labels: [String] { map(\.label) }

    /// What is sent, in order.
    var frames: [FederationFrame] {
        compactMap { if case .send(let frame, on: _) = $0 { frame } else { nil } }
    }
}

extension StoreChange {
    var label: String {
        switch self {
        case .putServer(let server, _): "\(server.id) \(server.status.rawValue)"
        case .removeServer(let id): "no \(id)"
        case .putTombstone(let tombstone): "tombstone \(tombstone.server)"
        case .removeTombstone: "no tombstone"
        case .putPeer(let peer): "peer \(peer.server)"
        case .removePeer(let id): "no peer \(id)"
        case .putRoute(let route): "route \(route.isActive ? "on" : "off")"
        case .removeRoute: "no route"
        case .putWorld: "world"
        case .removeWorld: "no world"
        case .putPlayer(let player): player.presence.label
        case .removePlayer: "no player"
        case .putHandoff(let handoff): handoff.redeemedAt == nil ? handoff.state.rawValue : "redeemed"
        case .removeHandoff: "no handoff"
        case .putDecisions(_, let count): "decision \(count)"
        case .putPassage: "passage"
        case .putReclaim: "reclaim"
        case .putRecall: "recall"
        case .putCardSequence(let sequence): "card \(sequence)"
        case .putBinding(let binding): binding.isDead ? "dead \(binding.server)" : "binding \(binding.server)"
        case .putEquivocation(let proof): "equivocation \(proof.server)"
        case .putOwnKeys: "own keys"
        case .registry(.appendLog(let record)): "log \(record.index)"
        case .registry(.putListing(let listing)): "listing \(listing.server)"
        case .registry(.removeListing(let listing)): "no listing \(listing.server)"
        case .registry(.putRegistry(let known)): "registry \(known.address)"
        case .registry(.removeRegistry(let address)): "no registry \(address)"
        case .registry(.putBrought(let registry, let count)): "\(count) brought by \(registry)"
        case .trust(.putPolicy): "policy"
        case .trust(.putIntroduction(let heard)): "introduction of \(heard.subject) by \(heard.introducer)"
        case .trust(.removeIntroduction(let introducer, let subject)): "no introduction of \(subject) by \(introducer)"
        }
    }
}

extension PlayerRecord.Presence {
    var label: String {
        switch self {
        case .playable: "playable"
        case .departing: "departing"
        case .departed: "departed"
        case .recalled: "recalled"
        case .left: "left"
        }
    }
}

extension FederationFrame {
    var label: String {
        switch self {
        case .ready: "ready"
        case .heartbeat: "heartbeat"
        case .acknowledgement: "acknowledgement"
        case .worldRequest: "world request"
        case .worldResponse: "world response"
        case .assetRequest: "asset request"
        case .assetResponse: "asset response"
        case .offer: "offer"
        case .accept: "accept"
        case .reject(let rejection): "reject \(rejection.code)"
        case .commit: "commit"
        case .admitted: "admitted"
        case .abort: "abort"
        case .query: "query"
        case .verdict(let verdict): "verdict \(verdict.decision.label)"
        case .position: "position"
        case .evidence: "evidence"
        case .recall: "recall"
        case .notice: "notice"
        case .introductions: "introductions"
        case .probe: "probe"
        case .probeResult: "probe result"
        }
    }
}

extension FederationFrame.HandoffVerdict.Decision {
    var label: String {
        switch self {
        case .undecided: "undecided"
        case .committed: "committed"
        case .aborted: "aborted"
        }
    }
}

extension CrossingEvent.Kind {
    var label: String {
        switch self {
        case .offered: "offered"
        case .committed: "committed"
        case .completed: "completed"
        case .returned(let refusal): "returned \(refusal.code)"
        case .voided(let refusal): "voided \(refusal.code)"
        case .arriving: "arriving"
        case .turnedAway(let refusal): "turned away \(refusal.code)"
        case .reserved: "reserved"
        case .admitted: "admitted"
        case .withdrawn: "withdrawn"
        case .withdrawnHere: "withdrawn here"
        }
    }
}

extension NodeEvent {
    var label: String {
        switch self {
        case .channelEstablished(let server, let direction): "\(direction.rawValue) channel of \(server)"
        case .channelClosed(let server): "channel of \(server) closed"
        case .healthChanged(let server, _, let to, _): "\(server) \(to.rawValue)"
        case .roundTrip: "round trip"
        case .handoffMoved(_, let role, let state): "\(role.rawValue) \(state.rawValue)"
        case .refusedFrame(_, let code): "refused \(code)"
        case .lateObservation: "late"
        case .vouched(let server, let helper): "\(helper) reaches \(server)"
        case .keyRotated(let server, _): "\(server) rotated"
        case .keyRevoked(let server, let replacement): "\(server) revoked\(replacement == nil ? " for good" : "")"
        case .noticeRefused(_, let code): "notice refused \(code)"
        case .equivocated(let server): "\(server) equivocated"
        case .trustGiven(let server, let source): "\(server) trusted \(source)"
        case .trustEnded(let server, let code): "\(server) untrusted \(code)"
        case .introductionsContradict(let server): "\(server) contradicted"
        case .rolledBack(_, let decisions): "rolled back by \(decisions)"
        case .relearned: "relearned"
        case .reclaimed: "reclaimed"
        case .reclaimForgotten(_, let server): "reclaim forgotten, known to \(server)"
        case .recalled: "recalled"
        }
    }
}
