import Testing

@testable import FederationSimulator

@Suite("What a simulation stands on")
struct GroundTests {
    @Test("events come in the order of their times, and those of one moment in the order in which they were scheduled")
    func queue() {
        var queue = EventQueue<Int>()
        var random = SplitMix64(seed: 1)
        var expected: [(Int64, Int)] = []
        for number in 0..<500 {
            let at = random.below(Int64(40))
            queue.schedule(number, at: at)
            expected.append((at, number))
        }
        expected.sort { $0 < $1 }
        for (at, number) in expected {
            let next = queue.next()
            #expect(next?.at == at && next?.event == number)
        }
        #expect(queue.next() == nil && queue.count == 0)
    }

    @Test("SplitMix64 gives the published numbers")
    func generator() {
        // https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
        var random = SplitMix64(seed: 1_234_567)
        let published: [UInt64] = [
            6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ]
        #expect(published.map { _ in random.next() } == published)
    }

    @Test("a planned fault is the same whether or not those before it are left out")
    func plan() {
        var whole = FaultPlan(seed: 9, kinds: FaultKind.allCases, only: nil)
        let all = (0..<60).compactMap { _ in whole.next() }
        var part = FaultPlan(seed: 9, kinds: FaultKind.allCases.reversed(), only: [3, 17, 59])
        for number in [3, 17, 59] {
            let fault = part.next()
            #expect(fault?.number == number && fault?.at == all[number].at && fault?.kind == all[number].kind)
        }
        #expect(part.next() == nil)
        var nothing = FaultPlan(seed: 9, kinds: [], only: nil)
        #expect(nothing.next() == nil)
    }

    @Test("a state is one that a world has written, or it is not", arguments: UInt64(0)..<9)
    func state(_ counter: UInt64) {
        var state = SimulatedPlayer.state(counter)
        #expect(state.count <= SimulatedPlayer.stateBytes)
        #expect(SimulatedPlayer.counter(of: state) == counter)
        state[state.count - 1] ^= 1
        #expect(SimulatedPlayer.counter(of: state) != counter)
        #expect(SimulatedPlayer.counter(of: []) == nil)
    }
}
