import FederationCore
import FederationCrypto
import FederationModel

/// Cards that a registry has shown and that none of its log entries names yet.
///
/// A card may be newer than the head that is being read, and then a later entry names it. What was shown before a head was
/// asked for and is in no entry under that head was never logged: it was meant for whoever asked, and for nobody else.
struct UnloggedCards: Sendable {
    private struct Waiting: Sendable {
        let card: String
        let hash: ContentHash
        /// Whether it was shown before the head that is being read was asked for.
        var isOverdue = false
    }

    /// Cards that are remembered of one registry: one of them is enough.
    private static let remembered = 64

    private var waiting: [ServerID: Waiting] = [:]

    /// The next head is about to be asked for: it must cover all that was shown until now.
    mutating func expectAll() {
        for server in waiting.keys { waiting[server]?.isOverdue = true }
    }

    mutating func note(_ card: String, _ hash: ContentHash, of server: ServerID) {
        // The first one that waits stays: it must be explained whatever is shown after it.
        guard waiting[server] == nil, waiting.count < Self.remembered else { return }
        waiting[server] = Waiting(card: card, hash: hash)
    }

    /// The log has this entry.
    mutating func explain(by entry: RegistryLogEntry) {
        if let hash = entry.card, waiting[entry.server]?.hash == hash { waiting[entry.server] = nil }
    }

    /// A card that all entries under the head leave unexplained, once they were all read.
    var overdue: (server: ServerID, card: String)? {
        waiting.filter(\.value.isOverdue).min { $0.key < $1.key }.map { ($0.key, $0.value.card) }
    }
}
