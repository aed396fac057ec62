import TestKit
import Testing

@testable import FederationCore

@Suite("NameTable")
struct NameTableTests {
    @Test("a name keeps its number while it is used, and is forgotten with its last use", arguments: [UInt64(1), 2])
    func model(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = NameTable<String>()
        var uses: [String: [UInt32]] = [:]
        for step in 0..<5_000 {
            let name = "n\(Int.random(in: 0..<40, using: &random))"
            if Bool.random(using: &random) {
                let number = table.take(name)
                #expect(uses[name]?.first ?? number == number, "seed \(seed), step \(step)")
                uses[name, default: []].append(number)
            } else if let number = uses[name]?.popLast() {
                #expect(table[number] == name)
                table.release(number)
                if uses[name] == [] { uses[name] = nil }
            }
            #expect(table.number(of: name) == uses[name]?.first)
        }
        let numbers = uses.values.compactMap(\.first)
        #expect(Set(numbers).count == numbers.count && numbers.allSatisfy { $0 < 40 })
    }
}
