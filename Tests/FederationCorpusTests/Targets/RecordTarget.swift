import Crypto
import FederationModel

@testable import FederationCrypto

/// The record layer, fed by a peer that holds the keys and by somebody who does not. An input is a script; what each
/// record must lead to is said by an oracle of its own.
public enum RecordTarget: FuzzTarget {
    public static let name = "record"

    /// Records under one key: few, so that scripts reach the change of keys.
    fileprivate static let recordsPerKey: UInt64 = 4
    fileprivate static let keyLifetime = Duration.seconds(60)

    /// What a step of a script does.
    fileprivate enum Step: UInt8, CaseIterable {
        /// The peer seals a plaintext of its choice.
        case plaintext
        /// The same, and a byte is changed on the way.
        case changed
        /// Somebody sends bytes.
        case forged
        /// The peer seals a record that never arrives.
        case dropped
        /// The last record arrives again.
        case repeated
        /// The server under test seals a frame, after some time.
        case sealed
    }

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        var source = ByteSource(input)
        let suite: CipherSuite = source.byte() & 1 == 0 ? .hybridAES256GCM : .hybridChaCha20Poly1305
        var stage = RecordStage(suite)
        for _ in 0..<64 where !source.isEmpty {
            let step = Step.allCases[Int(source.byte()) % Step.allCases.count]
            try stage.run(step, &source)
        }
        return stage.opened > 0
    }

    public static func seeds() -> [[UInt8]] {
        var ordinary = ByteScript(0)
        var rekeyed = ByteScript(1)
        for index in 0..<5 {
            ordinary.byte(index == 4 ? Step.sealed.rawValue : Step.plaintext.rawValue)
            if index == 4 { ordinary.byte(9) }
            ordinary.sized([0] + Array("frame".utf8))
            rekeyed.byte(Step.plaintext.rawValue)
            rekeyed.sized(index == 2 ? [1] : [0, 7])
        }
        for step in [Step.sealed, .sealed, .sealed, .sealed, .sealed] {
            rekeyed.byte(step.rawValue)
            rekeyed.byte(20)
            rekeyed.sized([4])
        }
        let attacks = [Step.changed, .forged, .dropped, .repeated].map { step in
            var script = ByteScript(0)
            script.byte(Step.plaintext.rawValue)
            script.sized([0, 1, 2])
            script.byte(step.rawValue)
            if step == .changed {
                script.word(3)
                script.byte(0x80)
            }
            script.sized([0, 3, 4])
            script.byte(Step.plaintext.rawValue)
            script.sized([0, 5])
            return script.bytes
        }
        return [ordinary.bytes, rekeyed.bytes] + attacks
    }
}

/// A server's record layer, its peer's, and what must be true between them.
private struct RecordStage: ~Copyable {
    private var subject: RecordLayer
    /// Opens what the subject seals.
    private var mirror: RecordLayer
    /// Seals anything, as a peer could that does not follow the protocol.
    private var peer: TrafficKey
    /// The record that arrived last.
    private var last: [UInt8] = []
    private var now = Instant(nanoseconds: 0)
    /// The oracle: how many records the subject has opened under its key, whether it is still in step, and alive.
    private var counter: UInt64 = 0
    private var isInStep = true
    private var isClosed = false
    private(set) var opened = 0

    init(_ suite: CipherSuite) {
        let secret = SymmetricKey(data: [UInt8](repeating: 7, count: 128))
        let transcript = [UInt8](repeating: 9, count: 32)
        peer = TrafficKey(
            aead: suite.aead,
            key: deriveKey(from: secret, salt: transcript, label: Label.lowToHighKey, count: AEAD.keyBytes),
            iv: deriveKey(from: secret, salt: transcript, label: Label.lowToHighIV, count: AEAD.nonceBytes))
        subject = Self.layer(.high, suite, SecretBytes(secret), transcript)
        mirror = Self.layer(.low, suite, SecretBytes(secret), transcript)
    }

    private static func layer(
        _ role: HandshakeRole, _ suite: CipherSuite, _ secret: consuming SecretBytes, _ transcript: [UInt8]
    ) -> RecordLayer {
        RecordLayer(
            keys: FederationSessionKeys(secret: secret, transcript: transcript, suite: suite, role: role),
            recordsPerKey: RecordTarget.recordsPerKey, keyLifetime: RecordTarget.keyLifetime)
    }

    mutating func run(_ step: RecordTarget.Step, _ source: inout ByteSource) throws(Violation) {
        switch step {
        case .plaintext:
            let plaintext = source.bytes(source.word())
            try deliver(try seal(plaintext), holding: plaintext)
        case .changed:
            let position = source.word()
            let change = source.byte()
            let plaintext = source.bytes(source.word())
            var record = try seal(plaintext)
            record[position % record.count] ^= change
            try deliver(record, holding: change == 0 ? plaintext : nil)
        case .forged:
            try deliver(source.bytes(source.word()), holding: nil)
        case .dropped:
            _ = try seal(source.bytes(source.word()))
            isInStep = false
        case .repeated:
            try deliver(last, holding: nil)
        case .sealed:
            now = now + .seconds(Int(source.byte()))
            try sealAndMirror(source.bytes(source.word()))
        }
    }

    private mutating func seal(_ plaintext: [UInt8]) throws(Violation) -> [UInt8] {
        var record = plaintext + [UInt8](repeating: 0, count: AEAD.tagBytes)
        let boxed: [UInt8]
        do {
            boxed = try Self.boxed(plaintext, peer)
            try peer.seal(&record)
        } catch {
            throw Violation("a record cannot be sealed: \(error)")
        }
        try require(record == boxed, "sealed in place a record is another than the library's box")
        if plaintext == [1] { peer.advance() }
        return record
    }

    /// What `key` makes of `plaintext` next, by swift-crypto's own boxes: the oracle for sealing in place.
    private static func boxed(_ plaintext: [UInt8], _ key: borrowing TrafficKey) throws -> [UInt8] {
        var nonce = key.iv.withUnsafeBytes { Array($0) }
        for index in 0..<8 {
            nonce[nonce.count - 1 - index] ^= UInt8(truncatingIfNeeded: key.counter >> (8 * UInt64(index)))
        }
        return try key.aead.seal(plaintext, key: key.key, nonce: nonce)
    }

    /// `plaintext` is what the record holds when nobody has touched it.
    private mutating func deliver(_ record: [UInt8], holding plaintext: [UInt8]?) throws(Violation) {
        last = record
        let expected = expectation(isInStep ? plaintext : nil)
        let actual: Result<RecordLayer.Opened, RecordLayer.Failure>
        do {
            actual = .success(try subject.open(record))
        } catch {
            actual = .failure(error)
        }
        try require(actual == expected, "\(actual) where \(expected) is due")
        switch expected {
        case .success(.frame): counter += 1
        case .success(.rekeyed): counter = 0
        case .failure: isClosed = true
        }
        if !isClosed { opened += 1 }
    }

    /// PROTOCOL.md, Records.
    private func expectation(_ plaintext: [UInt8]?) -> Result<RecordLayer.Opened, RecordLayer.Failure> {
        guard !isClosed else { return .failure(.closed) }
        guard let plaintext else { return .failure(.doesNotOpen) }
        switch plaintext.first {
        case 0:
            return counter < RecordTarget.recordsPerKey
                ? .success(.frame(Array(plaintext.dropFirst()))) : .failure(.overdueRekey)
        case 1:
            guard plaintext.count == 1 else { return .failure(.malformed) }
            return counter > 0 ? .success(.rekeyed) : .failure(.needlessRekey)
        default:
            return .failure(.malformed)
        }
    }

    private mutating func sealAndMirror(_ frame: [UInt8]) throws(Violation) {
        let records: [[UInt8]]
        do {
            records = try subject.seal(frame, at: now)
        } catch {
            return try require(isClosed && error == .closed, "sealing failed: \(error)")
        }
        try require(!isClosed, "a closed record layer seals")
        for (index, record) in records.enumerated() {
            let actual: RecordLayer.Opened
            do {
                actual = try mirror.open(record)
            } catch {
                throw Violation("a sealed record does not open: \(error)")
            }
            let expected = index == records.count - 1 ? RecordLayer.Opened.frame(frame) : .rekeyed
            try require(actual == expected, "a record holds \(actual) where \(expected) is due")
        }
    }
}
