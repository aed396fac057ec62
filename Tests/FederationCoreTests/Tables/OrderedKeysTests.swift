import TestKit
import Testing

@testable import FederationCore

@Suite("OrderedKeys")
struct OrderedKeysTests {
    @Test("a sorted set of keys does what a sorted array does", arguments: [UInt64(1), 2, 3])
    func model(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var keys = OrderedKeys<Int>()
        var model = Set<Int>()
        for step in 0..<30_000 {
            let key = Int.random(in: 0..<4_000, using: &random)
            // Long runs of growing and of shrinking, so that chunks are split and joined.
            if Int.random(in: 0..<10, using: &random) < (step / 5_000 % 2 == 0 ? 8 : 2) {
                #expect(keys.insert(key) == model.insert(key).inserted)
            } else {
                #expect(keys.remove(key) == (model.remove(key) != nil))
            }
            #expect(keys.count == model.count)
            guard step.isMultiple(of: 500) else { continue }
            let sorted = model.sorted()
            #expect(keys.all == sorted)
            #expect(keys.contains(key) == model.contains(key))
            let limit = Int.random(in: 0..<1_500, using: &random)
            #expect(keys.page(after: key, limit: limit) == Array(sorted.filter { $0 > key }.prefix(limit)))
        }
        for key in model {
            let wasThere = keys.remove(key)
            #expect(wasThere)
        }
        #expect(keys.isEmpty && keys.all.isEmpty)
    }

    @Test("pages join up to the whole, in whatever order the keys came", arguments: [1, 7, 512, 513, 10_000])
    func pages(_ limit: Int) {
        var ascending = OrderedKeys<Int>()
        var descending = OrderedKeys<Int>()
        for key in 0..<3_000 {
            ascending.insert(key)
            descending.insert(2_999 - key)
        }
        for keys in [ascending, descending] {
            var all: [Int] = []
            while true {
                let page = keys.page(after: all.last, limit: limit)
                guard !page.isEmpty else { break }
                all += page
            }
            #expect(all == Array(0..<3_000))
        }
    }

    @Test("a set made at once is the one made key by key, and goes on like it", arguments: [0, 1, 512, 513, 5_000])
    func atOnce(_ count: Int) {
        var random = SeededGenerator(seed: UInt64(count))
        let shuffled = (0..<count).map { $0 * 2 }.shuffled(using: &random)
        var keys = OrderedKeys(shuffled)
        var model = OrderedKeys<Int>()
        for key in shuffled { model.insert(key) }
        #expect(keys.count == count)
        for _ in 0..<3_000 {
            let key = Int.random(in: -1...(2 * count), using: &random)
            if Bool.random(using: &random) {
                #expect(keys.insert(key) == model.insert(key))
            } else {
                #expect(keys.remove(key) == model.remove(key))
            }
        }
        #expect(keys.all == model.all)
        #expect(keys.count == model.count)
    }

    @Test("disjoint sets are paged as one")
    func union() {
        var sets = [OrderedKeys<Int>](repeating: OrderedKeys(), count: 3)
        for key in 0..<2_000 { sets[key * 7 % 3].insert(key) }
        #expect(OrderedKeys.page(of: sets, after: 99, limit: 5) == [100, 101, 102, 103, 104])
        #expect(OrderedKeys.page(of: sets, after: nil, limit: .max).count == 2_000)
        #expect(OrderedKeys.page(of: sets, after: nil, limit: 0).isEmpty)
        #expect(OrderedKeys.page(of: sets, after: nil, limit: -1).isEmpty)
    }
}
