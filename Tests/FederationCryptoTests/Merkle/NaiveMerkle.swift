import Crypto
import FederationModel

/// RFC 9162 §2.1 as it is written: recursion over the entries themselves, with the hash function called directly.
enum NaiveMerkle {
    static func root(_ entries: ArraySlice<[UInt8]>) -> ContentHash {
        switch entries.count {
        case 0: return hash([])
        case 1: return hash([0x00] + (entries.first ?? []))
        default:
            let middle = entries.startIndex + split(entries.count)
            return hash([0x01] + root(entries[..<middle]).bytes + root(entries[middle...]).bytes)
        }
    }

    /// PATH(m, D_n) of §2.1.3.1.
    static func path(_ index: Int, _ entries: ArraySlice<[UInt8]>) -> [ContentHash] {
        guard entries.count > 1 else { return [] }
        let half = split(entries.count)
        let middle = entries.startIndex + half
        return index < half
            ? path(index, entries[..<middle]) + [root(entries[middle...])]
            : path(index - half, entries[middle...]) + [root(entries[..<middle])]
    }

    /// PROOF(m, D_n) of §2.1.4.1.
    static func proof(_ earlier: Int, _ entries: ArraySlice<[UInt8]>) -> [ContentHash] {
        subproof(earlier, entries, true)
    }

    private static func subproof(_ earlier: Int, _ entries: ArraySlice<[UInt8]>, _ isWhole: Bool) -> [ContentHash] {
        if earlier == entries.count { return isWhole ? [] : [root(entries)] }
        let half = split(entries.count)
        let middle = entries.startIndex + half
        return earlier <= half
            ? subproof(earlier, entries[..<middle], isWhole) + [root(entries[middle...])]
            : subproof(earlier - half, entries[middle...], false) + [root(entries[..<middle])]
    }

    private static func split(_ count: Int) -> Int {
        var half = 1
        while half * 2 < count { half *= 2 }
        return half
    }

    private static func hash(_ bytes: [UInt8]) -> ContentHash {
        guard let hash = ContentHash(bytes: Array(SHA256.hash(data: bytes))) else {
            preconditionFailure("SHA-256 has 32 bytes")
        }
        return hash
    }
}
