import FederationCrypto
import FederationModel

/// What happened, as a digest of everything and, when asked for, the last events in words.
struct History {
    enum Tag: UInt64 {
        case carried = 1
        case delivered
        case opened
        case established
        case closed
        case crashed
        case restarted
        case synced
        case failed
        case fault
        case act
        case refused
        case told
        case tick
        case rest
        case hostile
        case backup
        case door
        case disturbed
    }

    private static let kept = 2_000
    private static let words = 512

    let keepsWords: Bool
    private var hasher = ContentHasher()
    private var buffer: [UInt64] = []
    private var lines: [String] = []
    private var oldest = 0
    private(set) var count = 0

    init(keepsWords: Bool) {
        self.keepsWords = keepsWords
        buffer.reserveCapacity(Self.words)
    }

    mutating func note(_ tag: Tag, at time: Int64, _ first: Int, _ second: UInt64, _ text: () -> String) {
        count += 1
        buffer.append(tag.rawValue.littleEndian)
        buffer.append(UInt64(bitPattern: time).littleEndian)
        buffer.append(UInt64(bitPattern: Int64(first)).littleEndian)
        buffer.append(second.littleEndian)
        if buffer.count >= Self.words { flush() }
        guard keepsWords else { return }
        let line = "\(Self.seconds(time)) \(text())"
        if lines.count < Self.kept {
            lines.append(line)
        } else {
            lines[oldest] = line
            oldest = (oldest + 1) % Self.kept
        }
    }

    private mutating func flush() {
        buffer.withUnsafeBytes { hasher.update($0) }
        buffer.removeAll(keepingCapacity: true)
    }

    /// SHA-256 over every event, in hex.
    mutating func digest() -> String {
        flush()
        return hasher.finalize().description
    }

    /// The last events, the oldest first.
    var words: [String] { Array(lines[oldest...] + lines[..<oldest]) }

    private static func seconds(_ time: Int64) -> String {
        let micros = String(time / 1_000 % 1_000_000)
        return "\(time / Span.second).\(String(repeating: "0", count: 6 - micros.count))\(micros)"
    }
}
