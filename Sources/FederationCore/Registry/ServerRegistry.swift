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

    private var servers = SlotTable<ServerID, FederatedServer>()
    private var byStatus: [ServerStatus: OrderedKeys<ServerID>] = [:]
    private var tombstonesByID: [ServerID: ServerTombstone] = [:]
    private var byWorld: [WorldID: OrderedKeys<ServerID>] = [:]

    public init() {}

    // MARK: Looking

    public var count: Int { servers.count }

    public func count(status: ServerStatus) -> Int { byStatus[status]?.count ?? 0 }

    public func server(_ id: ServerID) -> FederatedServer? { servers[id] }

    /// Why the operator suspended a server, if they said so.
    public func suspensionReason(of id: ServerID) -> String? { servers[id]?.suspensionReason }

    /// Up to `limit` servers, sorted by id, from the first one after `cursor` on.
    public func list(after cursor: ServerID? = nil, limit: Int) -> [FederatedServer] {
        let indexes = ServerStatus.allCases.compactMap { byStatus[$0] }
        return OrderedKeys.page(of: indexes, after: cursor, limit: limit).compactMap { servers[$0] }
    }

    /// Up to `limit` servers with a status, sorted by id, from the first one after `cursor` on.
    public func list(status: ServerStatus, after cursor: ServerID? = nil, limit: Int) -> [FederatedServer] {
        (byStatus[status]?.page(after: cursor, limit: limit) ?? []).compactMap { servers[$0] }
    }

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
    ///   to another key; `alreadyRegistered` when the record is not newer than the one known.
    @discardableResult
    public mutating func register(_ server: FederatedServer) throws(Failure) -> Change {
        try check(registering: server)
        if let known = servers[server.id] {
            var updated = known
            updated.name = server.name
            updated.endpoint = server.endpoint
            updated.alternatives = server.alternatives
            updated.recordSequence = server.recordSequence
            updated.worlds = server.worlds
            servers[server.id] = updated
            unindex(known)
            index(updated)
            return .updated(updated, previous: known)
        }
        var fresh = server
        fresh.status = .offline
        fresh.lastHeartbeat = nil
        if let tombstone = tombstonesByID[server.id] {
            if tombstone.isSuspended { fresh.status = .suspended }
            tombstonesByID[server.id] = nil
        }
        insert(fresh)
        return .registered(fresh)
    }

    /// Whether ``register(_:)`` would take the record.
    ///
    /// - Parameter isRebound: whether ``rebind(_:to:)`` will have bound the id to the record's key.
    /// - Throws: as ``register(_:)``.
    public func check(registering server: FederatedServer, isRebound: Bool = false) throws(Failure) {
        try Self.check(server)
        guard !isRebound else { return }
        if let known = servers[server.id] {
            guard known.publicKey == server.publicKey else { throw .keyMismatch(server.id) }
            guard server.recordSequence > known.recordSequence else { throw .alreadyRegistered(server.id) }
        } else if let tombstone = tombstonesByID[server.id] {
            guard tombstone.publicKey == server.publicKey else { throw .keyMismatch(server.id) }
            guard server.recordSequence > tombstone.sequence || tombstone.sequence == 0 else {
                throw .alreadyRegistered(server.id)
            }
        }
    }

    /// Removes a server and returns what it was. A tombstone keeps its id bound to its key.
    ///
    /// - Parameter sequence: see ``ServerTombstone/sequence``.
    /// - Throws: `notFound`.
    @discardableResult
    public mutating func deregister(_ id: ServerID, sequence: UInt64 = 0) throws(Failure) -> FederatedServer {
        guard let server = servers[id] else { throw .notFound(id) }
        servers[id] = nil
        byStatus[server.status]?.remove(id)
        unindex(server)
        tombstonesByID[id] = ServerTombstone(
            server: id, publicKey: server.publicKey, isSuspended: server.status == .suspended, sequence: sequence)
        return server
    }

    /// Binds an id to another key, of which the caller knows by ``KeyBinding`` that it follows: the next record of the
    /// server replaces the present one whatever its sequence number. Does nothing for an id that was never here.
    public mutating func rebind(_ id: ServerID, to key: PublicKey) {
        if var server = servers[id] {
            server.publicKey = key
            server.recordSequence = 0
            servers[id] = server
        }
        if let tombstone = tombstonesByID[id] {
            tombstonesByID[id] = ServerTombstone(
                server: id, publicKey: key, isSuspended: tombstone.isSuspended, sequence: tombstone.sequence)
        }
    }

    /// Fills the registry with what was stored, instead of what it holds. Nothing changes when it throws.
    ///
    /// - Throws: as ``register(_:)``; `alreadyRegistered` for an id that is there twice.
    public mutating func restore(
        _ stored: [FederatedServer], tombstones: [ServerTombstone]
    ) throws(Failure) {
        var restored = ServerRegistry()
        for server in stored {
            try Self.check(server)
            guard restored.servers[server.id] == nil else { throw .alreadyRegistered(server.id) }
            restored.insert(server)
        }
        for tombstone in tombstones where restored.servers[tombstone.server] == nil {
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
        let status = try servers.update(id) { (server: inout FederatedServer) throws(Failure) -> ServerStatus in
            guard server.status != .suspended else { throw .suspended(id) }
            if let newest = server.lastHeartbeat, time < newest {
                throw .heartbeatBackwards(id, newest: newest, offered: time)
            }
            server.lastHeartbeat = time
            return server.status
        }
        guard let status else { throw .notFound(id) }
        return status == .online ? nil : move(id, to: .online)
    }

    /// Sets the status and returns the entry. Setting `suspended` is the same as suspending without a reason.
    ///
    /// - Throws: `notFound`; `suspended` when the server is suspended and `status` is another.
    @discardableResult
    public mutating func updateStatus(_ id: ServerID, to status: ServerStatus) throws(Failure) -> FederatedServer {
        guard let server = servers[id] else { throw .notFound(id) }
        guard server.status != status else { return server }
        guard server.status != .suspended else { throw .suspended(id) }
        guard let moved = move(id, to: status) else { throw .notFound(id) }
        return moved
    }

    // MARK: What the operator decides

    /// Excludes a server until it is reinstated. Suspending a suspended one replaces the reason.
    ///
    /// - Throws: `notFound`.
    @discardableResult
    public mutating func suspend(_ id: ServerID, reason: String) throws(Failure) -> FederatedServer {
        guard var server = move(id, to: .suspended) else { throw .notFound(id) }
        server.suspensionReason = reason
        servers[id] = server
        return server
    }

    /// Ends a suspension: the server is `offline` until it is heard. Does nothing to one that is not suspended.
    ///
    /// - Throws: `notFound`.
    @discardableResult
    public mutating func reinstate(_ id: ServerID) throws(Failure) -> FederatedServer {
        guard let server = servers[id] else { throw .notFound(id) }
        guard server.status == .suspended else { return server }
        guard var moved = move(id, to: .offline) else { throw .notFound(id) }
        moved.suspensionReason = nil
        servers[id] = moved
        return moved
    }

    // MARK: Indexes

    private mutating func insert(_ server: FederatedServer) {
        servers[server.id] = server
        byStatus[server.status, default: OrderedKeys()].insert(server.id)
        index(server)
    }

    private mutating func index(_ server: FederatedServer) {
        for world in server.worlds { byWorld[world, default: OrderedKeys()].insert(server.id) }
    }

    private mutating func unindex(_ server: FederatedServer) {
        for world in server.worlds {
            byWorld[world]?.remove(server.id)
            if byWorld[world]?.isEmpty == true { byWorld[world] = nil }
        }
    }

    /// Up to `limit` ids after `cursor` in the smallest index that has every match.
    func candidates(world: WorldID?, status: ServerStatus?, after cursor: ServerID?, limit: Int) -> [ServerID] {
        if let world { return byWorld[world]?.page(after: cursor, limit: limit) ?? [] }
        if let status { return byStatus[status]?.page(after: cursor, limit: limit) ?? [] }
        let indexes = ServerStatus.allCases.compactMap { byStatus[$0] }
        return OrderedKeys.page(of: indexes, after: cursor, limit: limit)
    }

    /// Changes the status and the index with it; nil when the server is not known.
    private mutating func move(_ id: ServerID, to status: ServerStatus) -> FederatedServer? {
        guard var server = servers[id] else { return nil }
        guard server.status != status else { return server }
        byStatus[server.status]?.remove(id)
        byStatus[status, default: OrderedKeys()].insert(id)
        server.status = status
        servers[id] = server
        return server
    }
}
