import FederationCore
import FederationCrypto
import FederationModel
import Testing

@Suite("AssetVerification")
struct AssetVerificationTests {
    static let content = Array("a small texture".utf8)
    static let emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    @Test("the hash is SHA-256")
    func hash() {
        #expect(AssetVerification.hash(of: []).description == Self.emptyHash)
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(AssetVerification.hash(of: Array("abc".utf8)).description == abc)
    }

    @Test("only verifying makes an asset verified, and wrong bytes make it unverified again")
    func verifying() {
        let hash = ContentHash.of(Self.content)
        var asset = AssetVerification(contentHash: hash, size: Int64(Self.content.count))
        #expect(!asset.verified)
        #expect(asset.verify(Self.content) == .valid)
        #expect(asset.verified && asset.proof?.hash == hash && asset.proof?.size == Int64(Self.content.count))
        var changed = Self.content
        changed[0] ^= 1
        let actual = ContentHash.of(changed)
        #expect(asset.verify(changed) == .hashMismatch(expected: hash, actual: actual))
        #expect(!asset.verified)
    }

    static let sizes: [(Int64, Int)] = [(0, 1), (1, 0), (10, 9), (10, 11), (-1, 0), (.max, 3)]

    @Test("the size is checked first, so nothing of the wrong size is hashed", arguments: sizes)
    func sizeFirst(_ expected: Int64, _ actual: Int) throws {
        let bytes = [UInt8](repeating: 1, count: actual)
        // The hash is wrong as well: the size is what is told.
        let hash = try #require(ContentHash(Self.emptyHash.replacing("e3b0", with: "0000")))
        var asset = AssetVerification(contentHash: hash, size: expected)
        #expect(asset.verify(bytes) == .sizeMismatch(expected: expected, actual: Int64(actual)))
        #expect(!asset.verified)
    }

    @Test("an empty asset can be verified")
    func empty() throws {
        var asset = AssetVerification(contentHash: try #require(ContentHash(Self.emptyHash)), size: 0)
        #expect(asset.verify([]) == .valid)
    }

    @Test("pieces of any size add up", arguments: [1, 2, 7, 15, 16, 100])
    func streaming(_ piece: Int) throws {
        var verifier = AssetVerifier(hash: ContentHash.of(Self.content), size: Int64(Self.content.count))
        var rest = Self.content[...]
        while !rest.isEmpty {
            try verifier.update(rest.prefix(piece))
            rest = rest.dropFirst(piece)
        }
        #expect(try verifier.finish().hash == ContentHash.of(Self.content))
    }

    @Test("a stream is refused as soon as it is too long, and at its end when it is too short or another")
    func refusedStreams() throws {
        let hash = ContentHash.of(Self.content)
        let size = Int64(Self.content.count)
        var long = AssetVerifier(hash: hash, size: size)
        try long.update(Self.content)
        #expect(throws: AssetMismatch.size(expected: size, actual: size + 1)) { try long.update([0]) }
        #expect(throws: AssetMismatch.size(expected: size, actual: size + 1)) { try long.finish() }
        var short = AssetVerifier(hash: hash, size: size)
        try short.update(Self.content[1...])
        #expect(throws: AssetMismatch.size(expected: size, actual: size - 1)) { try short.finish() }
        var other = AssetVerifier(hash: hash, size: size)
        let bytes = [UInt8](repeating: 0, count: Self.content.count)
        try other.update(bytes)
        #expect(throws: AssetMismatch.hash(expected: hash, actual: ContentHash.of(bytes))) { try other.finish() }
        for mismatch in [AssetMismatch.size(expected: 1, actual: 2), .hash(expected: hash, actual: hash)] {
            #expect(Refusal.isCode(mismatch.refusal.code) && mismatch.refusal.step == .verification)
        }
    }

    /// Would fail if a measurer forgot a piece, or counted other bytes than it hashed: its proof must be the verifier's.
    @Test("what is measured in pieces has the proof of what is verified", arguments: [0, 1, 7, 64])
    func measured(piece: Int) throws {
        var measurer = AssetMeasurer()
        var bytes: [UInt8] = []
        for number in 0..<5 {
            let part = [UInt8](repeating: UInt8(number), count: piece)
            measurer.update(part)
            bytes += part
            #expect(measurer.size == Int64(bytes.count))
        }
        #expect(try measurer.finish() == Self.proof(bytes))
    }

    @Test("a manifest is verified when every entry has its proof")
    func manifest() throws {
        let contents = (0..<4).map { [UInt8](repeating: UInt8($0), count: $0) }
        let entries = try contents.enumerated().map { index, bytes in
            try #require(
                AssetEntry(path: "f\(index)", hash: ContentHash.of(bytes), size: Int64(bytes.count), mediaType: "a/b"))
        }
        let manifest = try WorldManifest(world: WorldID(unchecked: "plaza"), name: "Plaza", entries: entries.reversed())
        let proofs = try contents.map(Self.proof)
        #expect(try VerifiedManifest(manifest, assets: proofs.reversed()).manifest == manifest)
        let failure = VerifiedManifest.Failure.unverified(path: "f2", ContentHash.of(contents[2]))
        #expect(throws: failure) { try VerifiedManifest(manifest, assets: [proofs[0], proofs[1], proofs[3]]) }
        #expect(throws: VerifiedManifest.Failure.unverified(path: "f0", ContentHash.of([]))) {
            try VerifiedManifest(manifest, assets: [])
        }
        let wrong = try #require(AssetEntry(path: "f1", hash: ContentHash.of(contents[1]), size: 9, mediaType: "a/b"))
        let lying = try WorldManifest(world: WorldID(unchecked: "plaza"), name: "Plaza", entries: [wrong])
        #expect(throws: VerifiedManifest.Failure.sizeMismatch(path: "f1", expected: 9, actual: 1)) {
            try VerifiedManifest(lying, assets: proofs)
        }
        #expect(Refusal.isCode(failure.refusal.code) && failure.refusal.step == .verification)
    }

    static func proof(_ bytes: [UInt8]) throws -> VerifiedAsset {
        var verifier = AssetVerifier(hash: ContentHash.of(bytes), size: Int64(bytes.count))
        try verifier.update(bytes)
        return try verifier.finish()
    }

    static let decisions: [(MismatchPolicy, MismatchDecision, Bool)] = [
        (.reject, .discard, false), (.report, .discardAndReport, true), (.quarantine, .quarantineAndReport, true),
    ]

    @Test("no policy lets a mismatch through, and each lets what is valid", arguments: decisions)
    func policy(_ policy: MismatchPolicy, _ decision: MismatchDecision, _ isReported: Bool) throws {
        let hash = try #require(ContentHash(Self.emptyHash))
        let mismatches: [VerificationResult] = [
            .hashMismatch(expected: hash, actual: hash), .sizeMismatch(expected: 1, actual: 2),
        ]
        for mismatch in mismatches {
            #expect(policy.decision(for: mismatch) == decision)
            #expect(!policy.decision(for: mismatch).isAccepted)
            #expect(policy.decision(for: mismatch).isReported == isReported)
        }
        #expect(policy.decision(for: .valid) == .keep)
        #expect(policy.decision(for: .valid).isAccepted)
    }
}
