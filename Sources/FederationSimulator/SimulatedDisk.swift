import FederationCore
import FederationModel

/// A disk with a database on it that writes ahead: transactions go to the end of a log, and count once the log is synced.
///
/// What was written and not synced when the power fails may be whole, torn or missing. Recovery reads the log from the
/// front and stops at the first transaction whose checksum is wrong, as SQLite does with its WAL: a torn transaction and
/// a missing one come to the same, and everything written behind either is lost with it. How many transactions that can
/// be is the service's doing. It has one under way at a time, into which it puts all changes that wait (`synchronous=FULL`:
/// the next begins when the sync of the last has returned), so a loss of power takes one with everything that many
/// crossings had in it. The disk itself keeps any number.
struct SimulatedDisk {
    /// What the power cut left of a transaction that was not synced.
    enum Remains {
        case whole
        /// Some of its pages, here those of the second half of its changes (a disk writes in any order): the checksum is wrong.
        case torn
        case missing
    }

    /// What every server begins with. Peers do not introduce one another: no player's fate hangs on it.
    static let initial: StoredState = {
        var state = StoredState()
        state.policy.introduces = false
        return state
    }()

    /// A disk with what a server begins with.
    init(_ state: StoredState) {
        durable = StoreTables(state)
    }

    /// A disk onto which a copy was put back.
    init(restoring copy: StoreTables) {
        durable = copy
    }

    /// What a start finds: everything that was synced, and what else survived.
    private(set) var durable: StoreTables
    /// Written, not synced.
    private var log: [[StoreChange]] = []

    /// How many transactions a loss of power may take.
    var unsynced: Int { log.count }

    /// Whether the last transaction in the log is one whose sync failed.
    private var hasFailed = false

    /// Appends a transaction to the log, in place of one whose sync has failed.
    mutating func write(_ changes: [StoreChange]) {
        if hasFailed { log.removeLast() }
        hasFailed = false
        log.append(changes)
    }

    /// The sync of the last transaction has failed. An error says nothing about what is on the disk: it may be rolled back,
    /// or be there and come back after a crash.
    mutating func fail(rollingBack isRolledBack: Bool) {
        guard !log.isEmpty else { return }
        if isRolledBack { log.removeLast() } else { hasFailed = true }
    }

    /// Everything that was written is durable from here on. `watch` sees each change before it is made.
    mutating func sync(_ watch: (StoreChange, StoreTables) -> Void) {
        let written = log
        log = []
        hasFailed = false
        for changes in written { apply(changes, watch) }
    }

    /// The power fails and the machine starts again.
    ///
    /// - Parameters:
    ///   - remains: what is left of each transaction that was not synced, from the first one written on.
    ///   - takesTorn: planted: checksums are not compared, and what is left of a torn transaction counts.
    mutating func recover(
        _ remains: [Remains], takingTorn takesTorn: Bool = false, _ watch: (StoreChange, StoreTables) -> Void
    ) {
        let written = log
        log = []
        hasFailed = false
        for (changes, remains) in zip(written, remains) {
            switch remains {
            case .whole: apply(changes, watch)
            case .torn:
                // The log ends here, whatever lies behind it.
                if takesTorn { apply(Array(changes.suffix(changes.count / 2)), watch) }
                return
            case .missing: return
            }
        }
    }

    private mutating func apply(_ changes: [StoreChange], _ watch: (StoreChange, StoreTables) -> Void) {
        for change in changes {
            watch(change, durable)
            durable.apply(change)
        }
    }
}
