import FederationModel

/// What each field may be, for both directions: what we would refuse to read we do not write.
enum FrameBounds {
    static func sequence(_ value: UInt64) throws(FrameFailure) {
        guard value > 0 else { throw .invalidField(.sequence) }
    }

    static func manifestSize(_ value: Int64) throws(FrameFailure) {
        guard value >= 0 else { throw .invalidField(.size) }
        guard value <= Int64(Limits.manifestBytes) else { throw .fieldOversized(.size) }
    }

    static func offset(_ value: Int64) throws(FrameFailure) {
        guard (0...Limits.assetBytes).contains(value) else { throw .invalidField(.offset) }
    }

    static func length(_ value: Int) throws(FrameFailure) {
        guard value > 0 else { throw .invalidField(.length) }
        guard value <= Limits.assetChunkBytes else { throw .fieldOversized(.length) }
    }

    static func chunk(count: Int) throws(FrameFailure) {
        guard count <= Limits.assetChunkBytes else { throw .fieldOversized(.chunk) }
    }

    static func snapshot(count: Int) throws(FrameFailure) {
        guard count <= Limits.snapshotBytes else { throw .fieldOversized(.snapshot) }
    }

    /// A refusal code: ``Refusal/isCode(_:)``.
    static func code(_ text: String, _ field: FrameFailure.Field) throws(FrameFailure) {
        guard text.utf8.count <= Limits.identifierBytes else { throw .fieldOversized(field) }
        guard Refusal.isCode(text) else { throw .invalidField(field) }
    }

    /// Text for people that may reach a terminal or a log: no control or format characters.
    static func reason(_ text: String) throws(FrameFailure) {
        guard text.utf8.count <= Limits.nameBytes else { throw .fieldOversized(.reason) }
        guard text.isEmpty || text.unicodeScalars.allSatisfy(\.isPrintable) else { throw .invalidField(.reason) }
    }

    /// The alphabet of a compact JWS (RFC 7515 §3.1): base64url and dots. Its structure is checked where it is
    /// verified.
    static func jws(_ text: String, _ field: FrameFailure.Field) throws(FrameFailure) {
        guard text.utf8.count <= Limits.jwsBytes else { throw .fieldOversized(field) }
        let isInAlphabet = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x2D, 0x5F, 0x2E: true
            default: false
            }
        }
        guard !text.isEmpty, isInAlphabet else { throw .invalidField(field) }
    }

    static func evidence(count: Int) throws(FrameFailure) {
        guard count > 0 else { throw .invalidField(.tokens) }
        guard count <= Limits.evidenceTokens else { throw .fieldOversized(.tokens) }
    }

    static func recall(count: Int) throws(FrameFailure) {
        guard count > 0 else { throw .invalidField(.players) }
        guard count <= Limits.recalledPlayers else { throw .fieldOversized(.players) }
    }

    static func check(_ introductions: FederationFrame.Introductions) throws(FrameFailure) {
        let statements = introductions.statements
        guard !statements.isEmpty else { throw .invalidField(.statements) }
        guard statements.count <= Limits.introductionsPerFrame else { throw .fieldOversized(.statements) }
        guard introductions.cards.count <= statements.count else { throw .fieldOversized(.cards) }
        for statement in statements { try jws(statement, .statements) }
        for card in introductions.cards { try jws(card, .cards) }
    }

    static func epoch(_ epoch: Epoch) throws(FrameFailure) {
        guard epoch.isValid else { throw .invalidField(.epoch) }
    }
}
