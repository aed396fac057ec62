import FederationModel

/// To whom this server may say now that it is back: seldom, ever more seldom, and to few at one time, so that peers that are
/// gone cost next to nothing and nobody is flooded.
struct ReturnNotices {
    private struct Notice {
        let due: Instant
        var pause: Duration
    }

    private var notices: [ServerID: Notice] = [:]
    private var underWay: Set<ServerID> = []
    /// Statements are numbered upwards, whoever they go to. Times count first, so it may begin anew with the process.
    private var sequence: UInt64 = 0

    /// A peer was dialled in vain. True when it is to be told: ``ended(_:)`` follows then.
    mutating func begin(_ peer: ServerID, at now: Instant) -> Bool {
        if let notice = notices[peer], now < notice.due { return false }
        guard underWay.count < Limits.returnNotices, underWay.insert(peer).inserted else { return false }
        let pause = notices[peer].map { $0.pause * 2 } ?? Limits.dialBackoffMaximum
        notices[peer] = Notice(due: now + min(pause, Limits.returnNoticePause), pause: pause)
        return true
    }

    /// A notice has reached its peer or has not. One that has not must not keep the next one waiting for long: it may have been
    /// this server that was cut off.
    mutating func ended(_ peer: ServerID, isTaken: Bool) {
        underWay.remove(peer)
        guard var notice = notices[peer] else { return }
        notice.pause = min(notice.pause, isTaken ? Limits.returnNoticePause : Limits.lostReturnNoticePause / 2)
        notices[peer] = notice
    }

    /// There is a channel with the peer, or it is a peer no more: when it is lost again, that is another return.
    mutating func forget(_ peer: ServerID) { notices[peer] = nil }

    mutating func nextSequence() -> UInt64 {
        sequence += 1
        return sequence
    }
}
