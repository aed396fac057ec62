/// In which slot of a table an entry stands, found by the entry's hash: an open-addressed table of four bytes a bucket,
/// of which a look-up reads one or two that lie together.
///
/// A bucket holds a slot's number and, in the bits that the number leaves, some of the hash: entries of another hash are
/// passed over without a look at them. Whoever asks compares the entry itself.
struct SlotIndex: Sendable {
    /// 0 is free; any other is the slot's number and one, in the bits of `mask`, and a part of the hash above them.
    private var buckets: [UInt32] = []
    /// One less than the number of buckets, which is a power of two.
    private var mask = 0
    private(set) var count = 0

    private static let fewest = 8
    /// What the bits of a bucket can tell apart.
    private static let most = 1 << 31

    init() {}

    /// The slot with the hash for which `isSought` holds, if there is one.
    @inline(__always)
    func slot(hash: Int, where isSought: (Int) -> Bool) -> Int? {
        guard !buckets.isEmpty else { return nil }
        let mark = mark(of: hash)
        let numbers = UInt32(truncatingIfNeeded: mask)
        var bucket = hash & mask
        while true {
            let entry = buckets[bucket]
            guard entry != 0 else { return nil }
            let slot = Int(entry & numbers) - 1
            if entry & ~numbers == mark, isSought(slot) { return slot }
            bucket = (bucket + 1) & mask
        }
    }

    /// Adds a slot that is not there.
    ///
    /// - Parameters:
    ///   - slot: at most the largest ``count`` that there has been; so the bits of a bucket hold it.
    ///   - hashOf: the hash of the entry in a slot.
    mutating func insert(_ slot: Int, hash: Int, hashOf: (Int) -> Int) {
        // Three quarters full at most: beyond that a search passes over too many.
        if (count + 1) * 4 > buckets.count * 3 { grow(hashOf) }
        place(slot, hash: hash)
        count += 1
    }

    /// Removes a slot that is there, and moves up what stands behind it, so that no mark of removal stays.
    mutating func remove(_ slot: Int, hash: Int, hashOf: (Int) -> Int) {
        let numbers = UInt32(truncatingIfNeeded: mask)
        var gap = hash & mask
        while Int(buckets[gap] & numbers) - 1 != slot { gap = (gap + 1) & mask }
        var bucket = gap
        while true {
            bucket = (bucket + 1) & mask
            let entry = buckets[bucket]
            guard entry != 0 else { break }
            let home = hashOf(Int(entry & numbers) - 1) & mask
            // It may move to the gap unless its own place lies between the two.
            if (bucket - home) & mask >= (bucket - gap) & mask {
                buckets[gap] = entry
                gap = bucket
            }
        }
        buckets[gap] = 0
        count -= 1
    }

    private func mark(of hash: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: hash >> 32) & ~UInt32(truncatingIfNeeded: mask)
    }

    private mutating func place(_ slot: Int, hash: Int) {
        var bucket = hash & mask
        while buckets[bucket] != 0 { bucket = (bucket + 1) & mask }
        buckets[bucket] = UInt32(truncatingIfNeeded: slot + 1) | mark(of: hash)
    }

    /// Needed only where there were never more entries than now: so every slot up to their number is taken.
    private mutating func grow(_ hashOf: (Int) -> Int) {
        precondition(buckets.count < Self.most, "a table has at most 2³¹ buckets")
        let size = max(Self.fewest, buckets.count * 2)
        buckets = [UInt32](repeating: 0, count: size)
        mask = size - 1
        for slot in 0..<count { place(slot, hash: hashOf(slot)) }
    }
}
