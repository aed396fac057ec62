import FederationModel
import SwiftProtobuf

extension WireFrame {
    /// The frame that the message stands for; throws on a field out of bounds.
    func parsed() throws(FrameFailure) -> FederationFrame {
        switch body {
        case .ready(let message): .ready(.init(server: try identifier(message.serverID, .serverID)))
        case .heartbeat(let message): .heartbeat(try message.parsed())
        case .acknowledgement(let message): .acknowledgement(try message.parsed())
        case .worldRequest(let message):
            .worldRequest(.init(request: message.request, world: try identifier(message.worldID, .worldID)))
        case .worldResponse(let message): .worldResponse(try message.parsed())
        case .assetRequest(let message): .assetRequest(try message.parsed())
        case .assetResponse(let message): .assetResponse(try message.parsed())
        case .offer(let message): .offer(try message.parsed())
        case .accept(let message): .accept(try handoff(message.handoffID))
        case .reject(let message): .reject(try message.parsed())
        case .commit(let message): .commit(try message.parsed())
        case .admitted(let message): .admitted(try message.parsed())
        case .abort(let message): .abort(try handoff(message.handoffID))
        case .query(let message): .query(try handoff(message.handoffID))
        case .verdict(let message): .verdict(try message.parsed())
        case .position(let message): .position(message.decided)
        case .evidence(let message): .evidence(try message.parsed())
        case .recall(let message): .recall(try message.parsed())
        case .notice(let message): .notice(try message.parsed())
        case .introductions(let message): .introductions(try message.parsed())
        case .probe(let message):
            .probe(.init(request: message.request, server: try identifier(message.serverID, .serverID)))
        case .probeResult(let message): .probeResult(.init(request: message.request, reached: message.reached))
        case nil: throw unknownFields.data.isEmpty ? .malformed : .unknownType
        }
    }
}

extension WireHeartbeat {
    func parsed() throws(FrameFailure) -> FederationFrame.Heartbeat {
        try FrameBounds.sequence(sequence)
        return .init(sequence: sequence, sentAt: Timestamp(milliseconds: sentAtMs))
    }
}

extension WireWorldResponse {
    func parsed() throws(FrameFailure) -> FederationFrame.WorldResponse {
        switch answer {
        case .manifest(let reference):
            try FrameBounds.manifestSize(reference.size)
            return .init(
                request: request, answer: .manifest(try contentHash(reference.sha256), size: reference.size))
        case .refused(let code):
            try FrameBounds.code(code, .refused)
            return .init(request: request, answer: .refused(code))
        case nil: throw .invalidField(.answer)
        }
    }
}

extension WireAssetRequest {
    func parsed() throws(FrameFailure) -> FederationFrame.AssetRequest {
        try FrameBounds.offset(offset)
        try FrameBounds.length(Int(length))
        return .init(request: request, hash: try contentHash(sha256), offset: offset, length: Int(length))
    }
}

extension WireAssetResponse {
    func parsed() throws(FrameFailure) -> FederationFrame.AssetResponse {
        switch answer {
        case .chunk(let bytes):
            try FrameBounds.chunk(count: bytes.count)
            return .init(request: request, answer: .chunk(bytes.array))
        case .refused(let code):
            try FrameBounds.code(code, .refused)
            return .init(request: request, answer: .refused(code))
        case nil: throw .invalidField(.answer)
        }
    }
}

extension WireHandoffOffer {
    func parsed() throws(FrameFailure) -> FederationFrame.HandoffOffer {
        try FrameBounds.jws(token, .token)
        try FrameBounds.snapshot(count: snapshot.count)
        return .init(handoff: try handoff(handoffID), token: token, snapshot: snapshot.array)
    }
}

extension WireHandoffRejection {
    func parsed() throws(FrameFailure) -> FederationFrame.HandoffRejection {
        try FrameBounds.code(code, .code)
        try FrameBounds.reason(reason)
        return .init(handoff: try handoff(handoffID), code: code, reason: reason)
    }
}

extension WireHandoffCommit {
    func parsed() throws(FrameFailure) -> FederationFrame.HandoffCommit {
        try FrameBounds.jws(token, .token)
        return .init(handoff: try handoff(handoffID), token: token)
    }
}

extension WireHandoffAdmitted {
    func parsed() throws(FrameFailure) -> FederationFrame.HandoffAdmitted {
        try FrameBounds.jws(receipt, .receipt)
        return .init(handoff: try handoff(handoffID), receipt: receipt)
    }
}

extension WireHandoffVerdict {
    func parsed() throws(FrameFailure) -> FederationFrame.HandoffVerdict {
        switch decision {
        case .undecided: return .init(handoff: try handoff(handoffID), decision: .undecided)
        case .committed(let token):
            try FrameBounds.jws(token, .token)
            return .init(handoff: try handoff(handoffID), decision: .committed(token: token))
        case .aborted: return .init(handoff: try handoff(handoffID), decision: .aborted)
        case nil: throw .invalidField(.decision)
        }
    }
}

extension WireHandoffEvidence {
    func parsed() throws(FrameFailure) -> [String] {
        try FrameBounds.evidence(count: tokens.count)
        for token in tokens { try FrameBounds.jws(token, .tokens) }
        return tokens
    }
}

extension WirePlayerRecall {
    func parsed() throws(FrameFailure) -> [FederationFrame.RecalledPlayer] {
        try FrameBounds.recall(count: players.count)
        var recalled: [FederationFrame.RecalledPlayer] = []
        recalled.reserveCapacity(players.count)
        for player in players {
            guard let id = PlayerID(player.player) else { throw .invalidField(.players) }
            let epoch = Epoch(player.epoch)
            try FrameBounds.epoch(epoch)
            recalled.append(.init(player: id, epoch: epoch))
        }
        return recalled
    }
}

extension WireNotice {
    func parsed() throws(FrameFailure) -> FederationFrame.Notice {
        switch statement {
        case .card(let compact):
            try FrameBounds.jws(compact, .card)
            return .card(compact)
        case .revocation(let compact):
            try FrameBounds.jws(compact, .revocation)
            return .revocation(compact)
        case nil: throw .invalidField(.statement)
        }
    }
}

extension WireIntroductions {
    func parsed() throws(FrameFailure) -> FederationFrame.Introductions {
        let introductions = FederationFrame.Introductions(statements: statements, cards: cards)
        try FrameBounds.check(introductions)
        return introductions
    }
}

private func identifier<ID: Identifier>(_ text: String, _ field: FrameFailure.Field) throws(FrameFailure) -> ID {
    guard text.utf8.count <= Limits.identifierBytes else { throw .fieldOversized(field) }
    guard let id = ID(rawValue: text) else { throw .invalidField(field) }
    return id
}

private func handoff(_ bytes: WireBytes) throws(FrameFailure) -> HandoffID {
    guard let id = HandoffID(bytes: bytes) else { throw .invalidField(.handoffID) }
    return id
}

private func contentHash(_ bytes: WireBytes) throws(FrameFailure) -> ContentHash {
    guard let hash = ContentHash(bytes: bytes) else { throw .invalidField(.sha256) }
    return hash
}
