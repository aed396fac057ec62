import FederationModel
import TestKit
import Testing

@testable import FederationCore

/// The table against the simplest thing that could be right: a dictionary.
@Suite("SlotTable")
struct SlotTableTests {
    /// An id whose hash has few values, so that entries stand in each other's places.
    struct Crowded: HashedIdentifier {
        let rawValue: String
        let textHash: Int
        static let noun = "id"

        init(unchecked rawValue: String) {
            self.rawValue = rawValue
            let number = Int(rawValue.dropFirst()) ?? 0
            // Some differ only in the bits that choose the bucket, some only in those that mark it, some not at all.
            textHash = [number % 3, (number % 3) << 40, -1 - number % 3][number % 7 % 3]
        }
    }

    @Test("it does what a dictionary does", arguments: [UInt64(1), 2, 3])
    func model(_ seed: UInt64) {
        act(seed) { ServerID(unchecked: $0) }
    }

    @Test("it does what a dictionary does when ids have the same hash", arguments: [UInt64(1), 2, 3])
    func collisions(_ seed: UInt64) {
        act(seed) { Crowded(unchecked: $0) }
    }

    private func act<ID: HashedIdentifier>(_ seed: UInt64, _ id: (String) -> ID) {
        var random = SeededGenerator(seed: seed)
        var table = SlotTable<ID, Int>()
        var model: [ID: Int] = [:]
        for step in 0..<20_000 {
            let key = id("s\(Int.random(in: 0..<300, using: &random))")
            // Long runs of growing and of shrinking, so that slots are freed and taken again.
            if Int.random(in: 0..<10, using: &random) < (step / 4_000 % 2 == 0 ? 7 : 3) {
                table[key] = step
                model[key] = step
            } else {
                table[key] = nil
                model[key] = nil
            }
            let other = id("s\(Int.random(in: 0..<300, using: &random))")
            #expect(table[other] == model[other] && table.count == model.count, "seed \(seed), step \(step)")
            guard let slot = table.slot(of: other) else { continue }
            table.update(slot: slot) { $0 += 1 }
            model[other]? += 1
            #expect(table.id(in: slot) == other && table[slot: slot] == model[other])
        }
        for (key, value) in model { #expect(table[key] == value) }
    }

    @Test("a slot stays an entry's while the entry is there, whatever comes and goes")
    func stableSlots() {
        var table = SlotTable<ServerID, Int>()
        let lasting = TableSamples.id("lasting")
        let slot = table.insert(lasting, 0)
        for number in 0..<5_000 {
            table[TableSamples.id("s\(number)")] = number
            if number >= 100 { table[TableSamples.id("s\(number - 100)")] = nil }
        }
        #expect(table.slot(of: lasting) == slot && table.count == 101)
        // Freed slots are taken again, so their number is the most entries that there have been.
        #expect(table.insert(TableSamples.id("another"), 1) <= 102)
    }
}
