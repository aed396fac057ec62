import Crypto
import FederationModel
import Testing

@testable import FederationCrypto

extension HandshakeAttackTests {
    // MARK: Records are played again, out of order, or with one in between dropped

    @Test("a record that comes again, too early or after a gap does not open", arguments: [[0, 0], [1, 0], [0, 2]])
    func order(order: [Int]) throws {
        var ends = RecordEnds(first: Sample.records(.low), second: Sample.records(.high))
        var records: [[UInt8]] = []
        for number in 0..<3 { records += try ends.first.seal([UInt8(number)], at: Sample.instant) }
        let failure = failure { () throws(RecordLayer.Failure) in
            for number in order { _ = try ends.second.open(records[number]) }
        }
        #expect(failure == .doesNotOpen && failure?.closeCode == .badRecord)
    }

    @Test("with the counter on the wire, it does", arguments: [[0, 0], [1, 0], [0, 2]])
    func orderWeakened(order: [Int]) throws {
        let key = SymmetricKey(data: [UInt8](repeating: 1, count: 32))
        let records = try (0..<3).map { try WeakenedHandshake.seal([$0], counter: $0, key: key) }
        for number in order {
            #expect(try WeakenedHandshake.open(records[number], key: key) == [UInt8(number)])
        }
    }

    // MARK: Records are changed

    /// What is done on the way to a record that holds `pay 1`.
    enum Tampering: CaseIterable {
        case flippedText
        case flippedTag
        case cutShort

        func applied(to record: [UInt8]) -> [UInt8] {
            var record = record
            switch self {
            // The content byte comes first, the tag last.
            case .flippedText: record[5] ^= UInt8(ascii: "1") ^ UInt8(ascii: "9")
            case .flippedTag: record[record.count - 1] ^= 0x80
            case .cutShort: record.removeLast(2)
            }
            return record
        }

        /// What somebody reads who does not look at the tag.
        var text: String {
            switch self {
            case .flippedText: "pay 9"
            case .flippedTag: "pay 1"
            case .cutShort: "pay"
            }
        }
    }

    @Test("a record that was cut or changed does not open", arguments: Tampering.allCases)
    func tampering(tampering: Tampering) throws {
        var ends = RecordEnds(first: Sample.records(.low), second: Sample.records(.high))
        let record = try ends.first.seal(Array("pay 1".utf8), at: Sample.instant)[0]
        let failure = failure { () throws(RecordLayer.Failure) in
            _ = try ends.second.open(tampering.applied(to: record))
        }
        #expect(failure == .doesNotOpen && failure?.closeCode == .badRecord)
    }

    @Test("whoever does not look at the tag reads what the attacker wants", arguments: Tampering.allCases)
    func tamperingWeakened(tampering: Tampering) throws {
        var sender = Sample.records(.low)
        let record = try sender.seal(Array("pay 1".utf8), at: Sample.instant)[0]
        let receiver = Sample.records(.high)
        let opened = try WeakenedHandshake.openUnchecked(
            tampering.applied(to: record), key: receiver.inbound.key,
            nonce: receiver.inbound.iv.withUnsafeBytes { Array($0) })
        #expect(opened == [0] + Array(tampering.text.utf8))
    }
}
