import FederationCore
import FederationCrypto
import FederationModel

/// Cards that a registry has shown and that none of its log entries names yet; of each only the hash.
///
/// A card may be newer than the head that is being read, and then a later entry names it. What was shown before a head was
/// asked for and is in no entry under that head was never logged: it was meant for whoever asked, and for nobody else.
struct UnloggedCards: Sendable {
    /// Where in the log an entry stands.
    struct Place: Hashable, Sendable {
        let index: Int
        /// The hash of the entry.
        let leaf: ContentHash
        /// The hash of the card that the entry names.
        let card: ContentHash?

        init(index: Int, entry: JSONValue, card: ContentHash?) {
            self.index = index
            leaf = MerkleHash.leaf(entry.serialized())
            self.card = card
        }
    }

    private struct Waiting: Sendable {
        let hash: ContentHash
        /// The newest entry about the server that was read.
        var place: Place
        /// Whether it was shown before the head that is being read was asked for.
        var isOverdue = false
    }

    /// Servers that are remembered of one registry. Of further ones such a card is not taken either, but not asked for again.
    private static let remembered = 64

    private var waiting: [ServerID: Waiting] = [:]

    /// The next head is about to be asked for: it must cover all that was shown until now.
    mutating func expectAll() {
        for server in waiting.keys { waiting[server]?.isOverdue = true }
    }

    /// A card of `server` was shown with its newest entry, which names another one.
    mutating func note(_ hash: ContentHash, of server: ServerID, at place: Place) {
        // The first one that waits stays: it must be explained whatever is shown after it.
        guard waiting[server] == nil, waiting.count < Self.remembered else { return }
        waiting[server] = Waiting(hash: hash, place: place)
    }

    /// The log has this newer entry about a server.
    mutating func explain(_ server: ServerID, by place: Place) {
        waiting[server]?.place = place
        if let hash = place.card, waiting[server]?.hash == hash { waiting[server] = nil }
    }

    /// The card that the log names is shown now, or none.
    mutating func settle(_ server: ServerID) { waiting[server] = nil }

    /// Servers whose card all entries under the head leave unexplained, once they were all read, with the newest of these.
    var overdue: [(server: ServerID, place: Place)] {
        waiting.filter(\.value.isOverdue).sorted { $0.key < $1.key }.map { ($0.key, $0.value.place) }
    }
}
