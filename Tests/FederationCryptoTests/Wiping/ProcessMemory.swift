import Foundation

@testable import FederationCrypto

/// A secret that this process should hold no more. Only a masked copy is kept, or the search would find itself.
struct MaskedSecret: Sendable {
    let name: String
    /// Pieces of 11 to 16 bytes, any of which gives the secret away, as they are and as HMAC pads them. The first byte and
    /// the last of 32 are left out, since X25519 changes bits of them.
    let pieces: [[UInt8]]

    static let mask: UInt8 = 0xA5
    /// None, and those of RFC 2104.
    private static let pads: [UInt8] = [0, 0x36, 0x5C]

    init(_ name: String, _ bytes: UnsafeRawBufferPointer) {
        self.name = name
        // An IV is shorter, and its last byte changes with the counter.
        let ranges =
            bytes.count < 32
            ? [0..<(bytes.count - 1)]
            : stride(from: 0, to: bytes.count, by: 16).map { max($0, 1)..<min($0 + 16, bytes.count - 1) }
        pieces = ranges.flatMap { range in Self.pads.map { Self.masked(bytes, range, $0) } }
    }

    /// Byte by byte, so that no part of the secret is ever copied as it is.
    private static func masked(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ pad: UInt8) -> [UInt8] {
        range.map { bytes[$0] ^ mask ^ pad }
    }
}

/// What this process can read and write of its own memory (`/proc/self/maps` and `/proc/self/mem` of proc(5)).
enum ProcessMemory {
    enum Place: String, Sendable {
        /// The stack of the thread that searches.
        case stack
        /// Everything else: the heap, other stacks, globals.
        case heap
    }

    struct Find: Hashable, Sendable {
        let name: String
        let place: Place
    }

    struct Unreadable: Error {}

    private static let pieceBytes = 1 << 20
    /// Larger regions are a sanitizer's shadow, not memory of the program.
    private static let regionBytes: UInt = 4 << 30
    private static let pageBytes: UInt = 4_096
    private static let overlap = 16
    /// More than the frames of a test and its runner take.
    private static let callersBytes: UInt = 128 << 10

    static let isAsked = ProcessInfo.processInfo.environment["AETHER_SEARCH_MEMORY"] != nil
    static let isReadable = FileManager.default.isReadableFile(atPath: "/proc/self/mem")
    /// A sanitizer keeps what is freed and moves what is on the stack: more is found then than a program leaves behind.
    static let isSanitized = ["__asan_init", "__tsan_init"].contains { (symbol: String) in dlsym(nil, symbol) != nil }

    #if os(Linux)
        static func search(for secrets: [MaskedSecret]) throws -> Set<Find> {
            let file = open("/proc/self/mem", O_RDONLY)
            guard file >= 0 else { throw Unreadable() }
            defer { close(file) }
            guard let buffer = mmap(nil, pieceBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                buffer != MAP_FAILED
            else { throw Unreadable() }
            defer {
                explicit_bzero(buffer, pieceBytes)
                munmap(buffer, pieceBytes)
            }
            // Not the buffer itself: it holds what was read last.
            let own = UInt(bitPattern: buffer)..<(UInt(bitPattern: buffer) + UInt(pieceBytes))
            let regions = try regions()
            let stack = try stack(in: regions)
            var finds: Set<Find> = []
            for region in regions {
                for part in split(region, by: own) where !own.contains(part.lowerBound) {
                    // The kernel lists neighbours as one region: what lies beside the stack is not the stack.
                    for place in split(part, by: stack) {
                        for name in names(in: place, of: secrets, file, buffer) {
                            finds.insert(Find(name: name, place: stack.contains(place.lowerBound) ? .stack : .heap))
                        }
                    }
                }
            }
            return finds
        }

        /// Overwrites what functions that have returned left on this thread's stack, by calls that use the same slots.
        @inline(never)
        static func reuseStack(calls: Int = 256) {
            withUnsafeTemporaryAllocation(byteCount: 1_024, alignment: 8) { buffer in
                if let base = buffer.baseAddress { explicit_bzero(base, buffer.count) }
                if calls > 0 { reuseStack(calls: calls - 1) }
            }
        }

        /// Where the stack of this thread lies, dead slots included: from the guard page below it to the frames of the
        /// callers. What the kernel lists as one with it begins further up.
        private static func stack(in regions: [Range<UInt>]) throws -> Range<UInt> {
            var marker: UInt8 = 0
            let here = withUnsafePointer(to: &marker) { UInt(bitPattern: $0) }
            guard let region = regions.first(where: { $0.contains(here) }) else { throw Unreadable() }
            return region.lowerBound..<min(here + callersBytes, region.upperBound)
        }

        /// The parts of `region` before, within and after `cut`; empty ones are left out.
        private static func split(_ region: Range<UInt>, by cut: Range<UInt>) -> [Range<UInt>] {
            let before = region.clamped(to: 0..<cut.lowerBound)
            let after = region.clamped(to: cut.upperBound..<UInt.max)
            return [before, region.clamped(to: cut), after].filter { !$0.isEmpty }
        }

        private static func regions() throws -> [Range<UInt>] {
            try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ", maxSplits: 2)
                let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
                guard fields[1].hasPrefix("rw"), ends.count == 2, ends[0] < ends[1], ends[1] - ends[0] <= regionBytes
                else { return nil }
                return ends[0]..<ends[1]
            }
        }

        /// Reads the region piece by piece into `buffer`, masks what was read, and compares masked with masked.
        private static func names(
            in region: Range<UInt>, of secrets: [MaskedSecret], _ file: Int32, _ buffer: UnsafeMutableRawPointer
        ) -> Set<String> {
            var names: Set<String> = []
            var position = region.lowerBound
            while position < region.upperBound {
                let wanted = min(pieceBytes, Int(region.upperBound - position))
                let count = pread(file, buffer, wanted, off_t(position))
                guard count > 0 else {
                    // Another thread has given the page back.
                    position += pageBytes
                    continue
                }
                if !isZero(buffer, count) {
                    mask(buffer, count)
                    for secret in secrets where secret.pieces.contains(where: { contains(buffer, count, $0) }) {
                        names.insert(secret.name)
                    }
                }
                position += UInt(position + UInt(count) < region.upperBound ? max(1, count - overlap) : count)
            }
            return names
        }

        private static func isZero(_ buffer: UnsafeMutableRawPointer, _ count: Int) -> Bool {
            buffer.load(as: UInt8.self) == 0 && memcmp(buffer, buffer + 1, count - 1) == 0
        }

        private static func mask(_ buffer: UnsafeMutableRawPointer, _ count: Int) {
            let words = buffer.assumingMemoryBound(to: UInt64.self)
            let pattern = UInt64(MaskedSecret.mask) &* 0x0101_0101_0101_0101
            for index in 0..<((count + 7) / 8) { words[index] ^= pattern }
        }

        private static func contains(_ buffer: UnsafeMutableRawPointer, _ count: Int, _ piece: [UInt8]) -> Bool {
            piece.withUnsafeBytes { piece in
                guard let first = piece.first, let start = piece.baseAddress else { return false }
                var position = buffer
                var left = count - piece.count + 1
                while left > 0, let candidate = memchr(position, Int32(first), left) {
                    if memcmp(candidate, start, piece.count) == 0 { return true }
                    left -= candidate - position + 1
                    position = candidate + 1
                }
                return false
            }
        }
    #else
        static func search(for secrets: [MaskedSecret]) throws -> Set<Find> { throw Unreadable() }

        static func reuseStack() {}
    #endif
}
