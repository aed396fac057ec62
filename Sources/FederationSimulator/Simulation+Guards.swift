import FederationCore
import FederationModel
import FederationWire

/// World servers that have a say in who enters.
extension Simulation {
    /// A world server guards its world from now on. Its connection ends with the server's process.
    func beginGuard(_ server: SimulatedServer, for duration: Int64) {
        guard answers(server) else { return }
        note(.door, server.index, 0) { "\(server.id): the world is guarded" }
        server.guardsUntil = max(server.guardsUntil, time + duration)
        server.guardNumber += 1
        server.node.setGuarded(server.world, true)
        events.schedule(
            .endGuard(server: server.index, boot: server.boot, number: server.guardNumber), at: server.guardsUntil)
    }

    func endGuard(_ server: SimulatedServer, _ boot: Int, _ number: Int) {
        guard server.isUp, server.boot == boot, server.guardNumber == number else { return }
        note(.door, server.index, 1) { "\(server.id): the world is guarded no more" }
        server.guardsUntil = .min
        server.node.setGuarded(server.world, false)
    }

    /// Somebody stands before the door: the world lets them in, refuses them, is late, or never answers. Now and then two
    /// that guard the same world say different things.
    func arriving(_ handoff: HandoffID, at server: SimulatedServer) {
        server.words[handoff] = nil
        let admits: Bool
        let pause: Int64
        switch worlds.below(20) {
        case ..<11: (admits, pause) = (true, 20 * Span.millisecond)
        case ..<15: (admits, pause) = (false, 20 * Span.millisecond)
        case ..<18: (admits, pause) = (worlds.oneIn(2), 300 * Span.millisecond)
        default: return
        }
        let at = time + worlds.below(pause)
        events.schedule(.answer(server: server.index, boot: server.boot, handoff, admits: admits), at: at)
        guard worlds.oneIn(4) else { return }
        events.schedule(
            .answer(server: server.index, boot: server.boot, handoff, admits: false),
            at: at + worlds.below(20 * Span.millisecond))
    }

    func answerArrival(_ handoff: HandoffID, admits: Bool, at server: SimulatedServer) throws {
        guard !server.hasFailed else { return }
        let effects: [Effect]
        do {
            effects = try server.node.answerArrival(
                handoff, refusal: admits ? nil : "the ball is over", at: now(of: server))
        } catch {
            return note(.refused, server.index, number(of: handoff)) {
                "\(server.id): nobody waits for a word on #\(number(of: handoff)): \(error.code)"
            }
        }
        note(.door, server.index, number(of: handoff)) {
            "\(server.id): #\(number(of: handoff)) \(admits ? "may come in" : "is turned away")"
        }
        server.words[handoff] = admits
        try checkDoor(handoff, effects, at: server)
        try commit(effects, for: .other, at: server)
    }

    /// A place in a guarded world is kept only for somebody whom the world lets in.
    func checkDoor(_ handoff: HandoffID, _ effects: [Effect], at server: SimulatedServer) throws {
        let isReserved = effects.contains { effect in
            effect.changes.contains { change in
                guard case .putHandoff(let record) = change else { return false }
                return record.id == handoff && record.state == .reserved
            }
        }
        guard isReserved, server.guardsUntil > time, server.words[handoff] != true else { return }
        throw violated(
            .guardsDecide, "\(server.id) keeps a place for #\(number(of: handoff)), whom its world has not let in")
    }
}
