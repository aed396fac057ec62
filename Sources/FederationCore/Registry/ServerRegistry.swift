public import FederationModel

/// The servers that are known, with what their own signed records say and what has been heard of them.
///
/// `online`, `degraded` and `offline` can become one another; any of them can become `suspended` by
/// ``suspend(_:reason:)``, and `suspended` becomes `offline` by ``reinstate(_:)`` alone: no heartbeat, status update or
/// new record undoes it, and neither does deregistering, because a removed server leaves a ``ServerTombstone`` that
/// keeps its key and its suspension. Sized for a million servers; every listing costs what it returns.
public struct ServerRegistry: Sendable {
    /// What registering did.
    public enum Change: Hashable, Sendable {
        /// The server is new here, or back after it was deregistered.
        case registered(FederatedServer)
        /// A newer record of a known server replaced an older one.
        case updated(FederatedServer, previous: FederatedServer)

        /// The entry as it stands now.
        public var server: FederatedServer {
            switch self {
            case .registered(let server), .updated(let server, previous: _): server
            }
        }
    }

    private var servers = SlotTable<ServerID, ServerRow>()
    /// Slots, in the order of their ids.
    private var byStatus: [ServerStatus: SortedChunks<UInt32>] = [:]
    private var byWorld: [WorldID: SortedChunks<UInt32>] = [:]
    private var tombstonesByID: [ServerID: ServerTombstone] = [:]

    public init() {}

    // MARK: Looking

    public var count: Int { servers.count }

    public func count(status: ServerStatus) -> Int { byStatus[status]?.count ?? 0 }

    /// The whole entry. Where the status is enough, ``status(of:)`` costs a fraction.
    public func server(_ id: ServerID) -> FederatedServer? {
        servers.slot(of: id).map { servers[slot: $0].server(id) }
    }

    /// nil for a server that is not known.
    public func status(of id: ServerID) -> ServerStatus? {
        servers.slot(of: id).map { servers[slot: $0].status }
    }

    /// Whether an operator excludes a server, whether or not it has an entry.
    public func isSuspended(_ id: ServerID) -> Bool {
        if let status = status(of: id) { return status == .suspended }
        return tombstonesByID[id]?.isSuspended == true
    }

    /// When a known server was last heard, if ever.
    public func lastHeartbeat(of id: ServerID) -> Timestamp? {
        servers.slot(of: id).flatMap { servers[slot: $0].lastHeartbeat }
    }

    /// Why the operator suspended a server, if they said so, whether or not it has an entry.
    public func suspensionReason(of id: ServerID) -> String? {
        server(id)?.suspensionReason ?? tombstonesByID[id]?.suspensionReason
    }

    /// Up to `limit` servers, sorted by id, from the first one after `cursor` on.
    public func list(after cursor: ServerID? = nil, limit: Int) -> [FederatedServer] {
        list(world: nil, status: nil, after: cursor, limit: limit)
    }

    /// Up to `limit` servers with a status, sorted by id, from the first one after `cursor` on.
    public func list(status: ServerStatus, after cursor: ServerID? = nil, limit: Int) -> [FederatedServer] {
        list(world: nil, status: status, after: cursor, limit: limit)
    }

    /// Up to `limit` servers after `cursor` in the smallest index that has every match.
    func list(world: WorldID?, status: ServerStatus?, after cursor: ServerID?, limit: Int) -> [FederatedServer] {
        slots(world: world, status: status, after: cursor, limit: limit).map { slot in
            servers[slot: Int(slot)].server(servers.id(in: Int(slot)))
        }
    }

    /// How many removed servers are remembered.
    public var tombstoneCount: Int { tombstonesByID.count }

    /// What is remembered of a removed server.
    public func tombstone(_ id: ServerID) -> ServerTombstone? { tombstonesByID[id] }

    /// What is remembered of all removed servers, sorted by id.
    public var tombstones: [ServerTombstone] { tombstonesByID.keys.sorted().compactMap { tombstonesByID[$0] } }

    // MARK: Registering

    /// Adds a server, or takes a newer record of a known one.
    ///
    /// A new server starts `offline` and unheard; one that was removed while suspended starts `suspended`. An update
    /// takes name, endpoint and sequence, and keeps the rest.
    ///
    /// - Throws: `invalidID`, `invalidName`, `invalidEndpoint`, `invalidKey`; `keyMismatch` when the id is, or was, bound
    ///   to another key; `alreadyRegistered` when the record is not newer than the one known; `hasLeft`.
    @discardableResult
    public mutating func register(_ server: FederatedServer) throws(Failure) -> Change {
        try check(registering: server)
        if let slot = servers.slot(of: server.id) {
            let known = servers[slot: slot].server(server.id)
            var updated = known
            updated.name = server.name
            updated.endpoint = server.endpoint
            updated.alternatives = server.alternatives
            updated.recordSequence = server.recordSequence
            updated.worlds = server.worlds
            unindex(slot, worlds: known.worlds)
            servers[slot: slot] = ServerRow(updated)
            index(slot, worlds: updated.worlds)
            return .updated(updated, previous: known)
        }
        var fresh = server
        fresh.status = .offline
        fresh.lastHeartbeat = nil
        if let tombstone = tombstonesByID[server.id] {
            if tombstone.isSuspended {
                fresh.status = .suspended
                fresh.suspensionReason = tombstone.suspensionReason
            }
            tombstonesByID[server.id] = nil
        }
        insert(fresh)
        return .registered(fresh)
    }

    /// Whether ``register(_:)`` would take the record.
    ///
    /// - Parameter isRebound: whether ``rebind(_:to:)`` will have bound the id to the record's key before.
    /// - Throws: as ``register(_:)`` then would.
    public func check(registering server: FederatedServer, isRebound: Bool = false) throws(Failure) {
        try Self.check(server)
        if let known = self.server(server.id) {
            guard isRebound || known.publicKey == server.publicKey else { throw .keyMismatch(server.id) }
            guard server.recordSequence > (isRebound ? Self.unnumbered : known.recordSequence) else {
                throw .alreadyRegistered(server.id)
            }
        } else if let tombstone = tombstonesByID[server.id] {
            let isSameKey = tombstone.publicKey == server.publicKey
            guard isRebound || isSameKey else { throw .keyMismatch(server.id) }
            let number = tombstone.sequence
            guard !isSameKey || number == Self.unnumbered || server.recordSequence > number else {
                throw .hasLeft(server.id, number)
            }
        }
    }

    /// Removes a server and returns what it was. A tombstone keeps its id bound to its key.
    ///
    /// - Parameter sequence: see ``ServerTombstone/sequence``.
    /// - Throws: `notFound`.
    @discardableResult
    public mutating func deregister(_ id: ServerID, sequence: UInt64 = 0) throws(Failure) -> FederatedServer {
        guard let slot = servers.slot(of: id) else { throw .notFound(id) }
        let server = servers[slot: slot].server(id)
        leave(server.status, slot)
        unindex(slot, worlds: server.worlds)
        servers.remove(slot)
        tombstonesByID[id] = ServerTombstone(
            server: id, publicKey: server.publicKey, isSuspended: server.status == .suspended,
            suspensionReason: server.suspensionReason, sequence: sequence)
        return server
    }

    /// Of an entry or a tombstone whose key has changed without a card: every card has a higher number.
    private static let unnumbered: UInt64 = 0

    /// Binds an id to another key, of which the caller knows by ``KeyBinding`` that it follows: the next record of the
    /// server replaces the present one whatever its sequence number, and brings it back if it has left: numbers start anew with a
    /// key, and whoever had stolen the earlier one may have named the highest there is. They go on where a dead id lives again
    /// under the same key. Does nothing for an id that was never here.
    public mutating func rebind(_ id: ServerID, to key: PublicKey) {
        if var server = server(id) {
            if server.publicKey != key { server.recordSequence = Self.unnumbered }
            server.publicKey = key
            servers[id] = ServerRow(server)
        }
        if let tombstone = tombstonesByID[id] {
            tombstonesByID[id] = ServerTombstone(
                server: id, publicKey: key, isSuspended: tombstone.isSuspended,
                suspensionReason: tombstone.suspensionReason,
                sequence: tombstone.publicKey == key ? tombstone.sequence : Self.unnumbered)
        }
    }

    /// Fills the registry with what was stored, instead of what it holds. Nothing changes when it throws.
    ///
    /// - Throws: as ``register(_:)``; `alreadyRegistered` for an id that is there twice.
    public mutating func restore(
        _ stored: [FederatedServer], tombstones: [ServerTombstone]
    ) throws(Failure) {
        var restored = ServerRegistry()
        restored.servers.reserveCapacity(stored.count)
        for server in stored {
            try Self.check(server)
            guard restored.servers.slot(of: server.id) == nil else { throw .alreadyRegistered(server.id) }
            restored.servers.insert(server.id, ServerRow(server))
        }
        restored.index(all: stored)
        for tombstone in tombstones where restored.servers.slot(of: tombstone.server) == nil {
            restored.tombstonesByID[tombstone.server] = tombstone
        }
        self = restored
    }

    // MARK: What is heard

    /// Notes that a server was heard. An `offline` or `degraded` one is `online` from then on.
    ///
    /// - Returns: the entry when its status changed, nil when only the time did: a heartbeat alone need not be stored.
    /// - Throws: `notFound`, `suspended`; `heartbeatBackwards` for a time before the newest heartbeat.
    @discardableResult
    public mutating func recordHeartbeat(_ id: ServerID, at time: Timestamp) throws(Failure) -> FederatedServer? {
        guard let slot = servers.slot(of: id) else { throw .notFound(id) }
        let status = try servers.update(slot: slot) { (row: inout ServerRow) throws(Failure) -> ServerStatus in
            guard row.status != .suspended else { throw .suspended(id) }
            if let newest = row.lastHeartbeat, time < newest {
                throw .heartbeatBackwards(id, newest: newest, offered: time)
            }
            row.lastHeartbeat = time
            return row.status
        }
        if status == .online { return nil }
        move(slot, to: .online)
        return servers[slot: slot].server(id)
    }

    /// Sets the status and returns the entry. Setting `suspended` is the same as suspending without a reason.
    ///
    /// - Throws: `notFound`; `suspended` when the server is suspended and `status` is another.
    @discardableResult
    public mutating func updateStatus(_ id: ServerID, to status: ServerStatus) throws(Failure) -> FederatedServer {
        guard let slot = servers.slot(of: id) else { throw .notFound(id) }
        let known = servers[slot: slot].status
        guard known == status || known != .suspended else { throw .suspended(id) }
        move(slot, to: status)
        return servers[slot: slot].server(id)
    }

    // MARK: What the operator decides

    /// Excludes a server until it is reinstated. Suspending a suspended one replaces the reason.
    ///
    /// - Throws: `notFound`.
    @discardableResult
    public mutating func suspend(_ id: ServerID, reason: String) throws(Failure) -> FederatedServer {
        guard let slot = servers.slot(of: id) else { throw .notFound(id) }
        move(slot, to: .suspended)
        var server = servers[slot: slot].server(id)
        server.suspensionReason = reason
        servers[slot: slot] = ServerRow(server)
        return server
    }

    /// Remembers of an id without an entry that it is bound to `key`, and whether and why it is suspended: an entry that is made
    /// of its record later begins so. Does nothing for one with an entry.
    public mutating func remember(
        _ id: ServerID, key: PublicKey, isSuspended: Bool, reason: String? = nil
    ) -> ServerTombstone? {
        guard servers.slot(of: id) == nil else { return nil }
        let tombstone = ServerTombstone(
            server: id, publicKey: key, isSuspended: isSuspended, suspensionReason: reason,
            sequence: tombstonesByID[id]?.sequence ?? 0)
        tombstonesByID[id] = tombstone
        return tombstone
    }

    /// Ends a suspension: the server is `offline` until it is heard. Does nothing to one that is not suspended.
    ///
    /// - Throws: `notFound`.
    @discardableResult
    public mutating func reinstate(_ id: ServerID) throws(Failure) -> FederatedServer {
        guard let slot = servers.slot(of: id) else { throw .notFound(id) }
        guard servers[slot: slot].status == .suspended else { return servers[slot: slot].server(id) }
        move(slot, to: .offline)
        var server = servers[slot: slot].server(id)
        server.suspensionReason = nil
        servers[slot: slot] = ServerRow(server)
        return server
    }

    // MARK: Indexes

    private mutating func insert(_ server: FederatedServer) {
        let slot = servers.insert(server.id, ServerRow(server))
        join(server.status, slot)
        index(slot, worlds: server.worlds)
    }

    /// Makes the indexes of a registry without any, into whose slots these servers were put one after the other: sorted once,
    /// which costs little where they are sorted as the store has them, and not by a search for each.
    private mutating func index(all stored: [FederatedServer]) {
        for slot in stored.indices.sorted(by: { stored[$0].id < stored[$1].id }) {
            byStatus[stored[slot].status, default: SortedChunks()].append(UInt32(slot))
            for world in stored[slot].worlds { byWorld[world, default: SortedChunks()].append(UInt32(slot)) }
        }
    }

    private mutating func index(_ slot: Int, worlds: [WorldID]) {
        for world in worlds {
            let place = place(of: slot, in: byWorld[world])
            byWorld[world, default: SortedChunks()].insert(UInt32(slot), at: place)
        }
    }

    private mutating func unindex(_ slot: Int, worlds: [WorldID]) {
        for world in worlds {
            let place = place(of: slot, in: byWorld[world])
            byWorld[world]?.remove(at: place)
            if byWorld[world]?.isEmpty == true { byWorld[world] = nil }
        }
    }

    private mutating func join(_ status: ServerStatus, _ slot: Int) {
        let place = place(of: slot, in: byStatus[status])
        byStatus[status, default: SortedChunks()].insert(UInt32(slot), at: place)
    }

    private mutating func leave(_ status: ServerStatus, _ slot: Int) {
        let place = place(of: slot, in: byStatus[status])
        byStatus[status]?.remove(at: place)
    }

    /// Changes the status and the index with it.
    private mutating func move(_ slot: Int, to status: ServerStatus) {
        let known = servers[slot: slot].status
        guard known != status else { return }
        leave(known, slot)
        join(status, slot)
        servers.update(slot: slot) { $0.status = status }
    }

    /// Where a server stands or would stand in an index.
    private func place(of slot: Int, in index: SortedChunks<UInt32>?) -> SortedChunks<UInt32>.Place {
        let index = index ?? SortedChunks()
        let text = servers.text(in: slot)
        return index.place { servers.text(in: Int($0)) < text }
    }

    private func slots(world: WorldID?, status: ServerStatus?, after cursor: ServerID?, limit: Int) -> [UInt32] {
        if let world { return page(of: byWorld[world], after: cursor, limit: limit) }
        if let status { return page(of: byStatus[status], after: cursor, limit: limit) }
        var slots = ServerStatus.allCases.flatMap { page(of: byStatus[$0], after: cursor, limit: limit) }
        slots.sort { servers.text(in: Int($0)) < servers.text(in: Int($1)) }
        return Array(slots.prefix(max(0, limit)))
    }

    private func page(of index: SortedChunks<UInt32>?, after cursor: ServerID?, limit: Int) -> [UInt32] {
        guard let index else { return [] }
        let place = cursor.map { cursor in index.place { servers.text(in: Int($0)) <= cursor.rawValue } }
        return index.page(from: place ?? index.start, limit: limit)
    }
}
