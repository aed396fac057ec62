import FederationModel
import FederationWire

/// The frames of an established channel.
public enum FrameTarget: FuzzTarget {
    public static let name = "frame"

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        let frame: FederationFrame
        do {
            frame = try FrameCodec.decode(input)
        } catch {
            try require(!error.description.isEmpty, "a failure that says nothing")
            return false
        }
        let bytes = try encode(frame)
        let again: FederationFrame
        do {
            again = try FrameCodec.decode(bytes)
        } catch {
            throw Violation("what was encoded does not decode: \(error)")
        }
        try require(again == frame, "decoded, encoded and decoded again, the frame is another one")
        try require(try encode(again) == bytes, "one frame has two encodings")
        try checkBounds(of: frame)
        return true
    }

    private static func encode(_ frame: FederationFrame) throws(Violation) -> [UInt8] {
        do {
            return try FrameCodec.encode(frame)
        } catch {
            throw Violation("what was decoded does not encode: \(error)")
        }
    }

    private static func checkBounds(of frame: FederationFrame) throws(Violation) {
        switch frame {
        case .ready, .worldRequest, .accept, .abort, .query, .position: break
        case .evidence(let tokens):
            try require((1...Limits.evidenceTokens).contains(tokens.count), "\(tokens.count) tokens")
            try require(tokens.allSatisfy { $0.utf8.count <= Limits.jwsBytes }, "a token out of bounds")
        case .probe, .probeResult: break
        case .notice(.card(let compact)), .notice(.revocation(let compact)):
            try require((1...Limits.jwsBytes).contains(compact.utf8.count), "a notice out of bounds")
        case .introductions(let introductions):
            let (statements, cards) = (introductions.statements, introductions.cards)
            try require(
                (1...Limits.introductionsPerFrame).contains(statements.count), "\(statements.count) introductions")
            try require(cards.count <= statements.count, "\(cards.count) cards for \(statements.count) introductions")
            try require(
                (statements + cards).allSatisfy { $0.utf8.count <= Limits.jwsBytes }, "an introduction out of bounds")
        case .recall(let players):
            try require((1...Limits.recalledPlayers).contains(players.count), "\(players.count) players")
            try require(players.allSatisfy(\.epoch.isValid), "an epoch out of bounds")
        case .heartbeat(let heartbeat), .acknowledgement(let heartbeat):
            try require(heartbeat.sequence > 0, "heartbeat 0")
        case .worldResponse(let response):
            guard case .manifest(_, let size) = response.answer else { return }
            try require((0...Int64(Limits.manifestBytes)).contains(size), "a manifest of \(size) bytes")
        case .assetRequest(let request):
            try require((1...Limits.assetChunkBytes).contains(request.length), "a chunk of \(request.length) bytes")
            try require((0...Limits.assetBytes).contains(request.offset), "an offset of \(request.offset)")
        case .assetResponse(let response):
            guard case .chunk(let bytes) = response.answer else { return }
            try require(bytes.count <= Limits.assetChunkBytes, "a chunk of \(bytes.count) bytes")
        case .offer(let offer):
            try require(offer.snapshot.count <= Limits.snapshotBytes, "a snapshot of \(offer.snapshot.count) bytes")
            try require((1...Limits.jwsBytes).contains(offer.token.utf8.count), "a token out of bounds")
        case .reject(let rejection):
            try require(rejection.reason.unicodeScalars.allSatisfy(\.isPrintable), "a reason that is not printable")
        case .commit(let commit):
            try require((1...Limits.jwsBytes).contains(commit.token.utf8.count), "a token out of bounds")
        case .admitted(let admitted):
            try require((1...Limits.jwsBytes).contains(admitted.receipt.utf8.count), "a receipt out of bounds")
        case .verdict(let verdict):
            guard case .committed(let token) = verdict.decision else { return }
            try require((1...Limits.jwsBytes).contains(token.utf8.count), "a token out of bounds")
        }
    }

    public static func seeds() throws -> [[UInt8]] {
        let world = try present(WorldID(rawValue: "plaza"))
        let handoff = try present(HandoffID(bytes: Array(1...16)))
        let hash = try present(ContentHash(bytes: Array(1...32)))
        let jws = "eyJh.eyJi._-9"
        let frames: [FederationFrame] = [
            .ready(.init(server: Subjects.alphaID)),
            .heartbeat(.init(sequence: 1, sentAt: Subjects.time)),
            .acknowledgement(.init(sequence: .max, sentAt: Timestamp(milliseconds: .min))),
            .worldRequest(.init(request: 7, world: world)),
            .worldResponse(.init(request: 7, answer: .manifest(hash, size: Int64(Limits.manifestBytes)))),
            .worldResponse(.init(request: 7, answer: .refused("world.unknown"))),
            .assetRequest(.init(request: 8, hash: hash, offset: Limits.assetBytes, length: Limits.assetChunkBytes)),
            .assetResponse(.init(request: 8, answer: .chunk([1, 2, 3]))),
            .assetResponse(.init(request: 8, answer: .refused("asset.unknown"))),
            .offer(.init(handoff: handoff, token: jws, snapshot: Array("state".utf8))),
            .accept(handoff),
            .reject(.init(handoff: handoff, code: "world.full", reason: "no room – come later")),
            .commit(.init(handoff: handoff, token: jws)), .admitted(.init(handoff: handoff, receipt: jws)),
            .abort(handoff), .query(handoff),
            .verdict(.init(handoff: handoff, decision: .undecided)),
            .verdict(.init(handoff: handoff, decision: .committed(token: jws))),
            .verdict(.init(handoff: handoff, decision: .aborted)),
            .introductions(.init(statements: [jws, jws], cards: [jws])),
        ]
        return try frames.map { try FrameCodec.encode($0) }
    }
}
