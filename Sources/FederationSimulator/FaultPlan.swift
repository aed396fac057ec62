/// The faults of one run, one after another. Each has a number and chances of its own, so that leaving one out changes
/// neither when the others come nor what they are.
struct FaultPlan {
    struct Fault {
        let number: Int
        let at: Int64
        let kind: FaultKind
        /// For the choices within the fault.
        var random: SplitMix64
    }

    /// The mean time between two faults.
    private static let pause = 500 * Span.millisecond
    private static let stream: UInt64 = 0xFA17

    private let seed: UInt64
    private let kinds: [FaultKind]
    private let allowed: [Int]?
    private var nextNumber = 0
    private var allowedIndex = 0
    private var clock: Int64 = 0

    init(seed: UInt64, kinds: [FaultKind], only allowed: [Int]?) {
        self.seed = seed
        // The order of declaration, whatever the order in which they were asked for.
        self.kinds = FaultKind.allCases.filter(kinds.contains)
        self.allowed = allowed
    }

    /// The next fault that is to happen, counted in time that passes while faults may happen; nil when none follows.
    mutating func next() -> Fault? {
        guard !kinds.isEmpty else { return nil }
        while true {
            if let allowed, allowedIndex >= allowed.count { return nil }
            var random = SplitMix64(seed: seed, stream: Self.stream &+ UInt64(nextNumber) << 16)
            clock += 1 + random.below(2 * Self.pause)
            let fault = Fault(number: nextNumber, at: clock, kind: Self.kind(of: kinds, &random), random: random)
            nextNumber += 1
            guard let allowed else { return fault }
            if allowed[allowedIndex] == fault.number {
                allowedIndex += 1
                return fault
            }
        }
    }

    private static func kind(of kinds: [FaultKind], _ random: inout SplitMix64) -> FaultKind {
        let total = kinds.reduce(0) { $0 + weight($1) }
        var ticket = random.below(total)
        for kind in kinds {
            ticket -= weight(kind)
            if ticket < 0 { return kind }
        }
        return kinds[0]
    }

    private static func weight(_ kind: FaultKind) -> Int {
        switch kind {
        case .crashAtEffect, .hostileFrames: 8
        case .guardedWorld: 5
        case .cut, .powerLoss, .restoredFromBackup, .takenBack: 4
        case .partition, .delay, .stall, .clockJump, .slowDisk, .failingDisk, .loss, .duplication, .reordering: 3
        case .duplicateDial, .fullQueues, .suspension, .removal, .routeOff: 2
        case .blackout, .impostor: 1
        }
    }
}
