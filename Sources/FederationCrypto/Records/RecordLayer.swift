public import FederationModel

/// Seals frames into records and opens records into frames, both directions of one channel. One binary WebSocket
/// message is one record.
///
/// Terms: a *record* is a sealed content byte and a body. Content 0 is a frame; content 1 announces that the sender's
/// next record uses the next key. Counters are implicit and start at 0 under every key, so a record opens only in its
/// place: what is repeated, dropped, reordered or changed does not open. Every failure is terminal: afterwards both
/// directions refuse.
///
/// No allocation happens before the size is checked, and nothing here waits: it is made to run on an event loop.
public struct RecordLayer: ~Copyable, Sendable {
    /// Why a channel must be closed.
    public enum Failure: Error, Hashable, Sendable {
        /// A frame or record of that many bytes.
        case oversized(Int)
        /// The record is not what the peer sealed in this place.
        case doesNotOpen
        /// The record opened but holds something else than a frame or an announcement.
        case malformed
        /// The peer announced a new key under a key that has protected nothing.
        case needlessRekey
        /// The peer did not change its key in time.
        case overdueRekey
        /// The channel failed before.
        case closed
        /// The cryptographic library refused to seal.
        case unavailable

        public var closeCode: CloseCode {
            switch self {
            case .oversized: .oversized
            case .doesNotOpen: .badRecord
            case .malformed, .needlessRekey, .overdueRekey: .protocolError
            case .closed, .unavailable: .internalError
            }
        }
    }

    /// What a record held.
    public enum Opened: Hashable, Sendable {
        case frame([UInt8])
        /// The peer changed its key; there is nothing to handle.
        case rekeyed
    }

    private static let frameContent: UInt8 = 0
    private static let rekeyContent: UInt8 = 1

    private(set) var outbound: TrafficKey
    private(set) var inbound: TrafficKey
    /// When the outbound key protected its first record; nil before.
    private var outboundSince: Instant?
    private var isClosed = false
    private let recordsPerKey: UInt64
    private let keyLifetime: Duration

    public init(keys: consuming FederationSessionKeys) {
        self.init(keys: keys, recordsPerKey: Limits.recordsPerKey, keyLifetime: Limits.keyLifetime)
    }

    /// With bounds that a test can reach. Both ends must have the same.
    init(keys: consuming FederationSessionKeys, recordsPerKey: UInt64, keyLifetime: Duration) {
        outbound = keys.outbound
        inbound = keys.inbound
        self.recordsPerKey = recordsPerKey
        self.keyLifetime = keyLifetime
    }

    /// The records to send for `frame`, in order: one, or an announcement and one when the key is due to change.
    /// `now` is any monotonic clock.
    public mutating func seal(_ frame: [UInt8], at now: Instant) throws(Failure) -> [[UInt8]] {
        guard !isClosed else { throw .closed }
        guard frame.count <= Limits.frameBytes else {
            isClosed = true
            throw .oversized(frame.count)
        }
        guard isRekeyDue(at: now) else { return [try sealContent(Self.frameContent, frame, at: now)] }
        let announcement = try sealContent(Self.rekeyContent, [], at: now)
        outbound.advance()
        outboundSince = nil
        return [announcement, try sealContent(Self.frameContent, frame, at: now)]
    }

    /// What `record` holds. The caller passes records in the order in which they arrived.
    public mutating func open(_ record: consuming [UInt8]) throws(Failure) -> Opened {
        guard !isClosed else { throw .closed }
        do {
            return try openContent(consume record)
        } catch {
            isClosed = true
            throw error
        }
    }

    private func isRekeyDue(at now: Instant) -> Bool {
        if outbound.counter >= recordsPerKey { return true }
        guard let outboundSince else { return false }
        return now - outboundSince >= keyLifetime
    }

    private mutating func sealContent(
        _ content: UInt8, _ body: [UInt8], at now: Instant
    ) throws(Failure) -> [UInt8] {
        let count = body.count + Limits.recordOverheadBytes
        var record = [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
            _ = bytes.initialize(fromContentsOf: CollectionOfOne(content))
            _ = bytes[1...].initialize(fromContentsOf: body)
            bytes[(body.count + 1)...].initialize(repeating: 0)
            initialized = count
        }
        if outboundSince == nil { outboundSince = now }
        do {
            try outbound.seal(&record)
            return record
        } catch {
            isClosed = true
            throw .unavailable
        }
    }

    private mutating func openContent(_ sealed: consuming [UInt8]) throws(Failure) -> Opened {
        // Opened where it stands, when the caller has no further use for it.
        var record = consume sealed
        guard record.count <= Limits.recordBytes else { throw .oversized(record.count) }
        let counter = inbound.counter
        do {
            try inbound.open(&record)
        } catch {
            throw .doesNotOpen
        }
        record.removeLast(AEAD.tagBytes)
        switch record.first {
        case Self.frameContent:
            guard counter < recordsPerKey else { throw .overdueRekey }
            record.removeFirst()
            return .frame(record)
        case Self.rekeyContent:
            guard record.count == 1 else { throw .malformed }
            guard counter > 0 else { throw .needlessRekey }
            inbound.advance()
            return .rekeyed
        default:
            throw .malformed
        }
    }
}
