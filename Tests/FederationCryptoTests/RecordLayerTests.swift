import Crypto
import FederationModel
import Testing

@testable import FederationCrypto

@Suite("Records")
struct RecordLayerTests {
    static func refusal(_ record: [UInt8], by layer: inout RecordLayer) -> RecordLayer.Failure? {
        do {
            _ = try layer.open(record)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "a frame of any allowed size comes out as it went in",
        arguments: [0, 1, 15, 16, 17, 1_023, 16_384, Limits.frameBytes])
    func sizes(size: Int) throws {
        for suite in CipherSuite.allCases {
            var sender = Sample.records(.low, suite: suite)
            var receiver = Sample.records(.high, suite: suite)
            let frame = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
            let records = try sender.seal(frame, at: Sample.instant)
            #expect(records.count == 1)
            #expect(records[0].count == size + Limits.recordOverheadBytes)
            #expect(try receiver.open(records[0]) == .frame(frame))
        }
    }

    @Test("a frame over the bound is not sealed, and a record over the bound not opened")
    func oversized() throws {
        var sender = Sample.records(.low)
        let frame = [UInt8](repeating: 0, count: Limits.frameBytes + 1)
        let failure = failure { () throws(RecordLayer.Failure) in _ = try sender.seal(frame, at: Sample.instant) }
        #expect(failure == .oversized(Limits.frameBytes + 1))
        var receiver = Sample.records(.high)
        let record = [UInt8](repeating: 0, count: Limits.recordBytes + 1)
        #expect(Self.refusal(record, by: &receiver) == .oversized(Limits.recordBytes + 1))
    }

    @Test(
        "a changed bit anywhere is refused, and then everything is",
        arguments: [CipherSuite.hybridAES256GCM, .hybridChaCha20Poly1305])
    func bitFlips(suite: CipherSuite) throws {
        var sender = Sample.records(.low, suite: suite)
        let record = try sender.seal([1, 2, 3, 4], at: Sample.instant)[0]
        for index in record.indices {
            for bit in 0..<8 {
                var receiver = Sample.records(.high, suite: suite)
                var changed = record
                changed[index] ^= 1 << bit
                #expect(Self.refusal(changed, by: &receiver) == .doesNotOpen)
                #expect(Self.refusal(record, by: &receiver) == .closed)
                let sealing = failure { () throws(RecordLayer.Failure) in _ = try receiver.seal([1], at: Sample.instant)
                }
                #expect(sealing == .closed)
            }
        }
    }

    @Test("a record cut short at any length is refused")
    func truncation() throws {
        var sender = Sample.records(.low)
        let record = try sender.seal([1, 2, 3, 4], at: Sample.instant)[0]
        for length in 0..<record.count {
            var receiver = Sample.records(.high)
            #expect(Self.refusal(Array(record.prefix(length)), by: &receiver) == .doesNotOpen)
        }
        var receiver = Sample.records(.high)
        #expect(Self.refusal(record + [0], by: &receiver) == .doesNotOpen)
    }

    /// Orders of four sealed records; only their own order opens, and what comes first before the fault still counts.
    static let orders: [([Int], Int)] = [
        ([0, 1, 2, 3], 4), ([0, 0], 1), ([1], 0), ([0, 2], 1), ([0, 1, 3, 2], 2), ([1, 0], 0), ([0, 1, 2, 2], 3),
        ([0, 1, 2, 0], 3),
    ]

    @Test("what is repeated, dropped or reordered does not open", arguments: orders)
    func order(order: [Int], opened: Int) throws {
        var sender = Sample.records(.low)
        var receiver = Sample.records(.high)
        var records: [[UInt8]] = []
        for number in 0..<4 { records += try sender.seal([UInt8(number)], at: Sample.instant) }
        for (position, number) in order.enumerated() {
            if position < opened {
                #expect(try receiver.open(records[number]) == .frame([UInt8(number)]))
            } else {
                #expect(Self.refusal(records[number], by: &receiver) != nil)
            }
        }
    }

    @Test("records of another channel do not open")
    func otherChannel() throws {
        var secret = [UInt8](repeating: 8, count: 128)
        var other = RecordLayer(
            keys: FederationSessionKeys(
                secret: SecretBytes(taking: &secret), transcript: [UInt8](repeating: 9, count: 32),
                suite: .hybridAES256GCM, role: .low))
        let record = try other.seal([1], at: Sample.instant)[0]
        var receiver = Sample.records(.high)
        #expect(Self.refusal(record, by: &receiver) == .doesNotOpen)
    }

    @Test("the key changes after so many records, announced by a record of its own")
    func rekeyByCount() throws {
        var sender = Sample.records(.low, recordsPerKey: 3)
        var receiver = Sample.records(.high, recordsPerKey: 3)
        var announcements = 0
        for number in 0..<20 {
            let records = try sender.seal([UInt8(number)], at: Sample.instant)
            if records.count == 2 {
                announcements += 1
                #expect(number % 3 == 0 && number > 0)
                #expect(try receiver.open(records[0]) == .rekeyed)
            }
            #expect(try receiver.open(records[records.count - 1]) == .frame([UInt8(number)]))
        }
        #expect(announcements == 6)
    }

    @Test("the key changes after its lifetime, counted from its first record")
    func rekeyByTime() throws {
        var sender = Sample.records(.low)
        var receiver = Sample.records(.high)
        let start = Sample.instant
        let lifetime = Duration.seconds(3_600)
        let table: [(Duration, Int)] = [
            (.zero, 1), (lifetime - .nanoseconds(1), 1), (lifetime, 2), (lifetime + lifetime - .nanoseconds(1), 1),
            (lifetime + lifetime, 2), (lifetime + lifetime + .seconds(1), 1),
        ]
        for (offset, count) in table {
            let records = try sender.seal([1], at: start + offset)
            #expect(records.count == count, "\(offset)")
            for record in records { _ = try receiver.open(record) }
        }
    }

    @Test("after the change the old key opens nothing")
    func rekeyForgets() throws {
        var sender = Sample.records(.low, recordsPerKey: 1)
        var lagging = Sample.records(.high, recordsPerKey: 1)
        _ = try lagging.open(try sender.seal([1], at: Sample.instant)[0])
        let records = try sender.seal([2], at: Sample.instant)
        #expect(records.count == 2)
        // The receiver never saw the announcement.
        #expect(Self.refusal(records[1], by: &lagging) == .doesNotOpen)
    }

    @Test("a peer that does not change its key in time is refused")
    func overdue() throws {
        var sender = Sample.records(.low, recordsPerKey: 10)
        var receiver = Sample.records(.high, recordsPerKey: 2)
        for number in 0..<2 { _ = try receiver.open(try sender.seal([UInt8(number)], at: Sample.instant)[0]) }
        let record = try sender.seal([2], at: Sample.instant)[0]
        #expect(Self.refusal(record, by: &receiver) == .overdueRekey)
    }

    @Test("a peer that changes a key that it has not used is refused")
    func needless() throws {
        let record = try sealRaw([1])
        var receiver = Sample.records(.high)
        #expect(Self.refusal(record, by: &receiver) == .needlessRekey)
    }

    @Test(
        "a record with unknown or no content, or an announcement with a body, is refused",
        arguments: [[], [2], [255, 0], [1, 0]])
    func content(plaintext: [UInt8]) throws {
        let record = try sealRaw(plaintext)
        var receiver = Sample.records(.high)
        #expect(Self.refusal(record, by: &receiver) == .malformed)
    }

    @Test("every failure has its close code")
    func closeCodes() {
        let table: [(RecordLayer.Failure, CloseCode)] = [
            (.oversized(1), .oversized), (.doesNotOpen, .badRecord), (.malformed, .protocolError),
            (.needlessRekey, .protocolError), (.overdueRekey, .protocolError), (.closed, .internalError),
            (.unavailable, .internalError),
        ]
        for (failure, code) in table { #expect(failure.closeCode == code) }
    }
}

/// Seals any plaintext as the low side's first record, which the record layer itself would not.
private func sealRaw(_ plaintext: [UInt8]) throws -> [UInt8] {
    let material = SymmetricKey(data: [UInt8](repeating: 7, count: 128))
    let transcript = [UInt8](repeating: 9, count: 32)
    var key = TrafficKey(
        aead: .aes256gcm, key: deriveKey(from: material, salt: transcript, label: Label.lowToHighKey, count: 32),
        iv: deriveKey(from: material, salt: transcript, label: Label.lowToHighIV, count: 12))
    var record = plaintext + [UInt8](repeating: 0, count: AEAD.tagBytes)
    try key.seal(&record)
    return record
}
