import FederationModel
import FederationWire
import Testing

/// One frame of every kind and answer, at its smallest and at its largest.
enum FrameSamples {
    static let handoff = HandoffID(bytes: Array(1...16)) ?? HandoffID("")
    static let hash = ContentHash(bytes: Array(1...32))
    static let jws = "eyJh.eyJi._-9"

    static func all() throws -> [FederationFrame] {
        let server = try #require(ServerID(rawValue: "alpha"))
        let longServer = try #require(ServerID(rawValue: String(repeating: "a", count: Limits.identifierBytes)))
        let world = try #require(WorldID(rawValue: "plaza"))
        let handoff = try #require(handoff)
        let hash = try #require(hash)
        let longJWS = String(repeating: "j", count: Limits.jwsBytes)
        let player = try #require(PlayerID("ada@alpha"))
        return [
            .ready(.init(server: server)), .ready(.init(server: longServer)),
            .heartbeat(.init(sequence: 1, sentAt: Timestamp(milliseconds: 0))),
            .heartbeat(.init(sequence: .max, sentAt: Timestamp(milliseconds: .min))),
            .acknowledgement(.init(sequence: 7, sentAt: Timestamp(milliseconds: .max))),
            .worldRequest(.init(request: 0, world: world)), .worldRequest(.init(request: .max, world: world)),
            .worldResponse(.init(request: 1, answer: .manifest(hash, size: 0))),
            .worldResponse(.init(request: 1, answer: .manifest(hash, size: Int64(Limits.manifestBytes)))),
            .worldResponse(.init(request: 1, answer: .refused("world.unknown"))),
            .assetRequest(.init(request: 1, hash: hash, offset: 0, length: 1)),
            .assetRequest(
                .init(request: 1, hash: hash, offset: Limits.assetBytes, length: Limits.assetChunkBytes)),
            .assetResponse(.init(request: 1, answer: .chunk([]))),
            .assetResponse(.init(request: 1, answer: .chunk(.init(repeating: 9, count: Limits.assetChunkBytes)))),
            .assetResponse(.init(request: 1, answer: .refused("asset.unknown"))),
            .offer(.init(handoff: handoff, token: jws, snapshot: [])),
            .offer(
                .init(handoff: handoff, token: longJWS, snapshot: .init(repeating: 1, count: Limits.snapshotBytes))),
            .accept(handoff),
            .reject(.init(handoff: handoff, code: "world.full", reason: "")),
            .reject(.init(handoff: handoff, code: "w", reason: String(repeating: "é", count: Limits.nameBytes / 2))),
            .commit(.init(handoff: handoff, token: jws)),
            .admitted(.init(handoff: handoff, receipt: jws)),
            .abort(handoff), .query(handoff),
            .verdict(.init(handoff: handoff, decision: .undecided)),
            .verdict(.init(handoff: handoff, decision: .committed(token: jws))),
            .verdict(.init(handoff: handoff, decision: .aborted)),
            .position(0), .position(.max), .evidence([jws]),
            .evidence(Array(repeating: longJWS, count: Limits.evidenceTokens)),
            .recall([.init(player: player, epoch: .first)]),
            .recall(Array(repeating: .init(player: player, epoch: .last), count: Limits.recalledPlayers)),
            .notice(.card(jws)), .notice(.revocation(longJWS)), .introductions(.init(statements: [jws])),
            .introductions(
                .init(
                    statements: Array(repeating: longJWS, count: Limits.introductionsPerFrame),
                    cards: Array(repeating: longJWS, count: Limits.introductionsPerFrame))),
            .probe(.init(request: .max, server: server)), .probeResult(.init(request: 0, reached: true)),
            .probeResult(.init(request: 7, reached: false)),
        ]
    }

    /// Frames that cannot be written, and why.
    static func outOfBounds() throws -> [(FederationFrame, FrameFailure)] {
        let handoff = try #require(handoff)
        let hash = try #require(hash)
        let longCode = String(repeating: "c", count: Limits.identifierBytes + 1)
        let longJWS = String(repeating: "j", count: Limits.jwsBytes + 1)
        let longReason = String(repeating: "r", count: Limits.nameBytes + 1)
        func ask(_ offset: Int64, _ length: Int) -> FederationFrame {
            .assetRequest(.init(request: 1, hash: hash, offset: offset, length: length))
        }
        func manifest(_ size: Int64) -> FederationFrame {
            .worldResponse(.init(request: 1, answer: .manifest(hash, size: size)))
        }
        let player = try #require(PlayerID("ada@alpha"))
        func recall(_ epoch: UInt64, _ count: Int) -> FederationFrame {
            .recall(Array(repeating: .init(player: player, epoch: Epoch(epoch)), count: count))
        }
        func reject(_ code: String, _ reason: String) -> FederationFrame {
            .reject(.init(handoff: handoff, code: code, reason: reason))
        }
        func introductions(_ statements: [String], _ cards: [String] = []) -> FederationFrame {
            .introductions(.init(statements: statements, cards: cards))
        }
        func offer(_ token: String, _ size: Int) -> FederationFrame {
            .offer(.init(handoff: handoff, token: token, snapshot: .init(repeating: 0, count: size)))
        }
        return [
            (.heartbeat(.init(sequence: 0, sentAt: Timestamp(milliseconds: 0))), .invalidField(.sequence)),
            (.acknowledgement(.init(sequence: 0, sentAt: Timestamp(milliseconds: 0))), .invalidField(.sequence)),
            (manifest(-1), .invalidField(.size)), (manifest(Int64(Limits.manifestBytes) + 1), .fieldOversized(.size)),
            (.worldResponse(.init(request: 1, answer: .refused(""))), .invalidField(.refused)),
            (.worldResponse(.init(request: 1, answer: .refused(longCode))), .fieldOversized(.refused)),
            (ask(-1, 1), .invalidField(.offset)), (ask(Limits.assetBytes + 1, 1), .invalidField(.offset)),
            (ask(0, 0), .invalidField(.length)), (ask(0, -1), .invalidField(.length)),
            (ask(0, Limits.assetChunkBytes + 1), .fieldOversized(.length)), (ask(0, .max), .fieldOversized(.length)),
            (
                .assetResponse(
                    .init(request: 1, answer: .chunk(.init(repeating: 0, count: Limits.assetChunkBytes + 1)))),
                .fieldOversized(.chunk)
            ),
            (.assetResponse(.init(request: 1, answer: .refused("Asset"))), .invalidField(.refused)),
            (offer("", 0), .invalidField(.token)), (offer("a b", 0), .invalidField(.token)),
            (offer("a\n", 0), .invalidField(.token)), (offer("é", 0), .invalidField(.token)),
            (offer(longJWS, 0), .fieldOversized(.token)),
            (offer(jws, Limits.snapshotBytes + 1), .fieldOversized(.snapshot)),
            (reject("", ""), .invalidField(.code)), (reject("world full", ""), .invalidField(.code)),
            (reject(longCode, ""), .fieldOversized(.code)), (reject("w", longReason), .fieldOversized(.reason)),
            (reject("w", "a\u{1B}[2J"), .invalidField(.reason)), (reject("w", "a\nb"), .invalidField(.reason)),
            (.commit(.init(handoff: handoff, token: "")), .invalidField(.token)),
            (.commit(.init(handoff: handoff, token: longJWS)), .fieldOversized(.token)),
            (.admitted(.init(handoff: handoff, receipt: "")), .invalidField(.receipt)),
            (.admitted(.init(handoff: handoff, receipt: longJWS)), .fieldOversized(.receipt)),
            (.verdict(.init(handoff: handoff, decision: .committed(token: ""))), .invalidField(.token)),
            (.verdict(.init(handoff: handoff, decision: .committed(token: longJWS))), .fieldOversized(.token)),
            (.evidence([]), .invalidField(.tokens)), (.evidence([jws, ""]), .invalidField(.tokens)),
            (.evidence([longJWS]), .fieldOversized(.tokens)),
            (.evidence(Array(repeating: jws, count: Limits.evidenceTokens + 1)), .fieldOversized(.tokens)),
            (.notice(.card("")), .invalidField(.card)), (.notice(.card(longJWS)), .fieldOversized(.card)),
            (.notice(.revocation("é")), .invalidField(.revocation)),
            (.notice(.revocation(longJWS)), .fieldOversized(.revocation)),
            (introductions([]), .invalidField(.statements)), (introductions([""]), .invalidField(.statements)),
            (introductions([longJWS]), .fieldOversized(.statements)),
            (
                introductions(Array(repeating: jws, count: Limits.introductionsPerFrame + 1)),
                .fieldOversized(.statements)
            ),
            (introductions([jws], [jws, jws]), .fieldOversized(.cards)),
            (introductions([jws, jws], [jws, ""]), .invalidField(.cards)),
            (introductions([jws], [longJWS]), .fieldOversized(.cards)),
            (.recall([]), .invalidField(.players)), (recall(0, 1), .invalidField(.epoch)),
            (recall(1 << 48, 1), .invalidField(.epoch)),
            (recall(2, Limits.recalledPlayers + 1), .fieldOversized(.players)),
        ]
    }
}
