import FederationCore
import FederationModel

/// What becomes of frames about handoffs between two servers, each until its time.
struct Disturbance {
    struct Share {
        var until: Int64 = .min
        /// Of a hundred frames.
        var percent = 0
    }

    var loss = Share()
    var duplication = Share()
    var reordering = Share()
}

/// Frames about handoffs that are lost, come twice or come late, although their channel stands.
///
/// A real channel is one ordered stream of sealed records, and whatever is lost, doubled or moved within it breaks it. Over
/// channels that follow one another, repetitions and restarts frames do get lost, come twice and overtake one another, and
/// the handoff must rest on no order at all: here it is shown that it does not. The node does rely on the channel for
/// everything else, which keeps its place. A position, the evidence that answers it, and what was taken back are said once
/// when a channel opens, and an acknowledgement means that all of it has come; handshakes are a conversation.
extension Simulation {
    /// The longest that a frame is late.
    private static let longest = 2 * Span.second

    func disturb(
        _ part: WritableKeyPath<Disturbance, Disturbance.Share>, between one: Int, and other: Int,
        _ random: inout SplitMix64
    ) {
        let share = Disturbance.Share(until: time + random.below(5 * Span.second), percent: 5 + random.below(50))
        disturbances[one][other][keyPath: part] = share
        disturbances[other][one][keyPath: part] = share
    }

    /// Sends a frame about a handoff.
    func sendDisturbed(_ bytes: [UInt8], over wire: SimulatedWire, toFirst: Bool, _ disturbance: Disturbance) {
        if happens(disturbance.loss) { return disturbed(.loss, wire) }
        if happens(disturbance.duplication) {
            disturbed(.duplication, wire)
            sendLate(bytes, over: wire, toFirst: toFirst)
        }
        if happens(disturbance.reordering) {
            disturbed(.reordering, wire)
            return sendLate(bytes, over: wire, toFirst: toFirst)
        }
        send(.frame(bytes), over: wire, toFirst: toFirst)
    }

    private func happens(_ share: Disturbance.Share) -> Bool { share.until > time && network.percent(share.percent) }

    private func disturbed(_ kind: FaultKind, _ wire: SimulatedWire) {
        report.disturbedFrames[kind, default: 0] += 1
        note(.disturbed, wire.number, UInt64(kind.hashNumber)) { "wire \(wire.number): \(kind.rawValue) of a frame" }
    }

    private func sendLate(_ bytes: [UInt8], over wire: SimulatedWire, toFirst: Bool) {
        let by = network.below(network.oneIn(8) ? Self.longest : 20 * Span.millisecond)
        lateFrames += 1
        events.schedule(.late(wire: wire.number, first: toFirst, bytes: bytes), at: time + by)
    }

    /// A late frame takes its place behind what is on the wire by now; with its wire it is lost.
    func arriveLate(_ bytes: [UInt8], over number: Int, first: Bool) {
        lateFrames -= 1
        guard let wire = wires[number], wire.isOpen,
            wire.update(toFirst: first, { $0.count }) < Limits.outboundFrames
        else { return }
        send(.frame(bytes), over: wire, toFirst: first)
    }
}
