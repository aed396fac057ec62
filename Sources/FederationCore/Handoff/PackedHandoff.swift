import FederationModel

/// A handoff in one array of bytes, for those that are over: a record takes 400 bytes, and more for each text that it
/// holds; a server keeps every handoff of its last day, and reads few of them again. See ``PackingWriter``.
///
/// Layout: state and role, flags, the words of the id, when it was opened and when it changed (milliseconds), the
/// snapshot's hash; player, peer, portal and world; epoch, revision and the snapshot's size; then what the flags tell
/// of, in their order.
struct PackedHandoff: Hashable, Sendable {
    private struct Flags: OptionSet {
        let rawValue: UInt8
        static let hasSpawn = Flags(rawValue: 1)
        static let hasClientKey = Flags(rawValue: 2)
        static let hasDecision = Flags(rawValue: 4)
        static let hasCode = Flags(rawValue: 8)
        static let hasReason = Flags(rawValue: 16)
        static let hasReceipt = Flags(rawValue: 32)
        static let isRedeemed = Flags(rawValue: 64)
        static let hasSnapshot = Flags(rawValue: 128)
    }

    private static let destination: UInt8 = 0x80

    private let bytes: [UInt8]

    init(_ record: HandoffRecord) {
        // Most take less. What is well below a kilobyte an allocator hands out again at once.
        var writer = PackingWriter(capacity: 896)
        writer.byte(Self.code(record.state) | (record.role == .destination ? Self.destination : 0))
        writer.byte(Self.flags(of: record).rawValue)
        writer.word(record.id.high)
        writer.word(record.id.low)
        writer.word(UInt64(bitPattern: record.openedAt.milliseconds))
        writer.word(UInt64(bitPattern: record.changedAt.milliseconds))
        writer.raw(record.snapshotHash.bytes)
        writer.text(record.player.name.rawValue)
        writer.text(record.player.home.rawValue)
        writer.text(record.peer.rawValue)
        writer.text(record.portal.rawValue)
        writer.text(record.world.rawValue)
        writer.number(record.epoch.number)
        writer.number(record.revision)
        writer.signed(Int64(record.snapshotSize))
        if let spawn = record.spawn {
            writer.word(spawn.x.bitPattern)
            writer.word(spawn.y.bitPattern)
            writer.word(spawn.z.bitPattern)
        }
        if let key = record.clientKey { writer.raw(key.bytes) }
        if let decision = record.decision { writer.number(decision) }
        if let code = record.abortCode { writer.text(code) }
        if let reason = record.abortReason { writer.text(reason) }
        if let receipt = record.receipt { writer.text(receipt) }
        if let time = record.redeemedAt { writer.signed(time.milliseconds) }
        if !record.snapshot.isEmpty {
            writer.number(UInt64(record.snapshot.count))
            writer.raw(record.snapshot)
        }
        bytes = writer.packed
    }

    private static func flags(of record: HandoffRecord) -> Flags {
        var flags: Flags = []
        if record.spawn != nil { flags.insert(.hasSpawn) }
        if record.clientKey != nil { flags.insert(.hasClientKey) }
        if record.decision != nil { flags.insert(.hasDecision) }
        if record.abortCode != nil { flags.insert(.hasCode) }
        if record.abortReason != nil { flags.insert(.hasReason) }
        if record.receipt != nil { flags.insert(.hasReceipt) }
        if record.redeemedAt != nil { flags.insert(.isRedeemed) }
        if !record.snapshot.isEmpty { flags.insert(.hasSnapshot) }
        return flags
    }

    // MARK: At hand

    var state: HandoffState { Self.state(bytes[0] & ~Self.destination) }
    var id: HandoffID { HandoffID(high: word(at: 2), low: word(at: 10)) }
    var openedAt: Timestamp { Timestamp(milliseconds: Int64(bitPattern: word(at: 18))) }
    var changedAt: Timestamp { Timestamp(milliseconds: Int64(bitPattern: word(at: 26))) }
    var hasSnapshot: Bool { Flags(rawValue: bytes[1]).contains(.hasSnapshot) }

    private func word(at position: Int) -> UInt64 {
        var reader = PackingReader(bytes, from: position)
        return reader.word()
    }

    // MARK: Unpacking

    /// What was packed.
    var record: HandoffRecord {
        let flags = Flags(rawValue: bytes[1])
        var reader = PackingReader(bytes, from: 34)
        guard let hash = ContentHash(bytes: reader.raw(32)) else { preconditionFailure("a hash has 32 bytes") }
        let player = PlayerID(name: PlayerName(unchecked: reader.text()), home: ServerID(unchecked: reader.text()))
        let peer = ServerID(unchecked: reader.text())
        let portal = PortalID(unchecked: reader.text())
        let world = WorldID(unchecked: reader.text())
        let epoch = Epoch(reader.number())
        let revision = reader.number()
        let size = Int(reader.signed())
        let spawn = flags.contains(.hasSpawn) ? reader.spawn() : nil
        let clientKey = flags.contains(.hasClientKey) ? reader.key() : nil
        let decision = flags.contains(.hasDecision) ? reader.number() : nil
        let code = flags.contains(.hasCode) ? reader.text() : nil
        let reason = flags.contains(.hasReason) ? reader.text() : nil
        let receipt = flags.contains(.hasReceipt) ? reader.text() : nil
        let redeemedAt = flags.contains(.isRedeemed) ? Timestamp(milliseconds: reader.signed()) : nil
        let snapshot = flags.contains(.hasSnapshot) ? Array(reader.raw(Int(reader.number()))) : []
        return HandoffRecord(
            id: id, role: bytes[0] & Self.destination == 0 ? .source : .destination, player: player, peer: peer,
            portal: portal, world: world, spawn: spawn, epoch: epoch, revision: revision, snapshotHash: hash,
            snapshot: snapshot, snapshotSize: size, clientKey: clientKey, decision: decision, state: state,
            openedAt: openedAt, changedAt: changedAt, abortCode: code, abortReason: reason, receipt: receipt,
            redeemedAt: redeemedAt)
    }

    private static func code(_ state: HandoffState) -> UInt8 {
        switch state {
        case .prepared: 0
        case .reserved: 1
        case .committed: 2
        case .admitted: 3
        case .completed: 4
        case .aborted: 5
        }
    }

    private static func state(_ code: UInt8) -> HandoffState {
        switch code {
        case 0: .prepared
        case 1: .reserved
        case 2: .committed
        case 3: .admitted
        case 4: .completed
        case 5: .aborted
        default: preconditionFailure("there are six states")
        }
    }
}

extension PackingReader {
    fileprivate mutating func spawn() -> SpawnPoint {
        let (x, y, z) = (word(), word(), word())
        guard
            let spawn = SpawnPoint(
                x: Double(bitPattern: x), y: Double(bitPattern: y), z: Double(bitPattern: z))
        else { preconditionFailure("what was a spawn point is one") }
        return spawn
    }
}
