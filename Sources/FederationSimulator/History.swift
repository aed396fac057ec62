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

        /// What happens to a server as a whole, and decides what becomes of all its handoffs.
        var concernsServer: Bool {
            switch self {
            case .crashed, .restarted, .failed, .fault, .rest, .backup: true
            case .carried, .delivered, .opened, .established, .closed, .synced, .act, .refused, .told, .tick, .hostile,
                .door, .disturbed:
                false
            }
        }
    }

    private static let kept = 2_000
    private static let words = 512

    let keepsWords: Bool
    /// When there are any, only what names one of them is kept in words, and what concerns a whole server.
    let watched: [String]
    private var hasher = ContentHasher()
    private var buffer: [UInt64] = []
    private var lines: [String] = []
    private var oldest = 0
    private(set) var count = 0

    init(keepsWords: Bool, watched: [String] = []) {
        self.keepsWords = keepsWords
        self.watched = watched
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
        guard watched.isEmpty || tag.concernsServer || watched.contains(where: { Self.names($0, in: line) }) else {
            return
        }
        if lines.count < Self.kept {
            lines.append(line)
        } else {
            lines[oldest] = line
            oldest = (oldest + 1) % Self.kept
        }
    }

    /// Whether a line has the word, and not as the beginning of a longer number or name.
    private static func names(_ word: String, in line: String) -> Bool {
        line.split(separator: " ").contains { part in
            guard part.hasPrefix(word) else { return false }
            return part.dropFirst(word.count).first.map { !$0.isLetter && !$0.isNumber } ?? true
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
