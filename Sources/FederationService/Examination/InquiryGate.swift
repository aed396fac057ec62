import FederationModel

/// Which inquiries are answered: each once, and not too many of one server, or of all together.
struct InquiryGate: Sendable {
    /// So many at once; each comes free again after a while.
    private struct Allowance: Sendable {
        var spent: Duration = .zero
        var at: Instant

        /// Whether there is one left, which is then taken.
        mutating func take(of burst: Int, each pause: Duration, at now: Instant) -> Bool {
            spent = max(.zero, spent - max(.zero, now - at))
            at = now
            guard spent + pause <= pause * burst else { return false }
            spent += pause
            return true
        }
    }

    private struct Key: Hashable {
        let server: ServerID
        let nonce: String
    }

    private var remembered: [Key: Timestamp] = [:]
    private var byServer: [ServerID: Allowance] = [:]
    private var all = Allowance(at: Instant(nanoseconds: .min))
    /// Who is tried back at this moment.
    private(set) var triedBack: Set<ServerID> = []

    /// Takes note of an inquiry that is verified.
    ///
    /// - Parameter end: when it would be refused anyway.
    /// - Throws: `inquiry.repeated`, `inquiry.tooMany`.
    mutating func admit(
        _ nonce: String, from server: ServerID, until end: Timestamp, at now: Now
    ) throws(Refusal) {
        let key = Key(server: server, nonce: nonce)
        guard remembered[key] == nil else {
            throw Refusal(
                .conflict, code: "inquiry.repeated", reason: "this inquiry of \(server) was answered before",
                remedy: "sign a new one")
        }
        if remembered.count >= Limits.rememberedInquiries {
            remembered = remembered.filter { now.timestamp < $0.value }
        }
        var own = byServer[server] ?? Allowance(at: now.instant)
        let isOwnLeft = own.take(of: Limits.inquiriesPerServer, each: Limits.inquiryPause, at: now.instant)
        byServer[server] = own
        guard isOwnLeft, remembered.count < Limits.rememberedInquiries,
            all.take(of: Limits.inquiries, each: Limits.inquiryPauseOfAll, at: now.instant)
        else {
            throw Refusal(
                .overloaded, code: "inquiry.tooMany", reason: "too many inquiries came",
                remedy: "ask again in a minute")
        }
        remembered[key] = end
    }

    /// Whether a server may be tried back now; if so, ``finish(_:)`` must follow.
    mutating func begin(_ server: ServerID) -> Bool {
        guard triedBack.count < Limits.triedBack else { return false }
        return triedBack.insert(server).inserted
    }

    mutating func finish(_ server: ServerID) {
        triedBack.remove(server)
    }
}
