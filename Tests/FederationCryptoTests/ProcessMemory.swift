import Foundation

@testable import FederationCrypto

/// A secret that this process should hold no more. Only a masked copy is kept, or the search would find itself.
struct MaskedSecret: Sendable {
    let name: String
    /// Pieces of 11 to 16 bytes, any of which gives the secret away. The first byte and the last of 32 are left out,
    /// since X25519 changes bits of them.
    let pieces: [[UInt8]]

    static let mask: UInt8 = 0xA5

    init(_ name: String, _ bytes: UnsafeRawBufferPointer) {
        self.name = name
        if bytes.count < 32 {
            // An IV: its last byte changes with the counter.
            pieces = [Self.masked(bytes, 0..<(bytes.count - 1))]
        } else {
            pieces = stride(from: 0, to: bytes.count, by: 16).map { start in
                Self.masked(bytes, max(start, 1)..<min(start + 16, bytes.count - 1))
            }
        }
    }

    /// Byte by byte, so that no part of the secret is ever copied as it is.
    private static func masked(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> [UInt8] {
        range.map { bytes[$0] ^ mask }
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

    static let isReadable = FileManager.default.isReadableFile(atPath: "/proc/self/mem")

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
            var marker: UInt8 = 0
            let here = withUnsafePointer(to: &marker) { UInt(bitPattern: $0) }
            let own = UInt(bitPattern: buffer)..<(UInt(bitPattern: buffer) + UInt(pieceBytes))
            var finds: Set<Find> = []
            for region in try regions() {
                let place = region.contains(here) ? Place.stack : .heap
                // Not the buffer itself: it holds what was read last.
                let parts =
                    region.overlaps(own)
                    ? [region.lowerBound..<own.lowerBound, own.upperBound..<region.upperBound] : [region]
                for part in parts {
                    for name in names(in: part, of: secrets, file, buffer) {
                        finds.insert(Find(name: name, place: place))
                    }
                }
            }
            return finds
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
    #endif
}
