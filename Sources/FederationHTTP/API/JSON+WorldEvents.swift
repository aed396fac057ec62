import FederationCore
import FederationCrypto
import FederationModel
import FederationService

extension WorldEvent {
    /// What the event is called.
    var name: String {
        switch self {
        case .arriving: "arriving"
        case .admitted: "admitted"
        case .departing: "departing"
        case .departed: "departed"
        case .returned: "returned"
        case .turnedAway: "turnedAway"
        case .withdrawn: "withdrawn"
        case .gone: "gone"
        }
    }

    var json: JSONValue { .object(members) }

    private var members: [String: JSONValue] {
        switch self {
        case .arriving(let handoff, let player, let arrival):
            var members = arrival.members
            members["handoff"] = .text(handoff)
            members["player"] = .text(player)
            return members
        case .admitted(let handoff, let record):
            return record.members.merging(["handoff": .text(handoff)]) { _, new in new }
        case .departing(let handoff, let player, let epoch):
            return ["handoff": .text(handoff), "player": .text(player), "epoch": .count(epoch.number)]
        case .departed(let handoff, let player, let epoch, let server):
            return [
                "handoff": .text(handoff), "player": .text(player), "epoch": .count(epoch.number),
                "server": .text(server),
            ]
        case .returned(let handoff, let player, let epoch, let refusal):
            return refusal.members.merging(
                ["handoff": .text(handoff), "player": .text(player), "epoch": .count(epoch.number)]
            ) { _, new in new }
        case .turnedAway(let handoff, let player, let refusal):
            return refusal.members.merging(["handoff": .text(handoff), "player": .text(player)]) { _, new in new }
        case .withdrawn(let handoff, let player):
            return ["handoff": .text(handoff), "player": .text(player)]
        case .gone(let player):
            return ["player": .text(player)]
        }
    }
}

extension Arrival {
    fileprivate var members: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "source": .text(source), "world": .text(world), "epoch": .count(epoch.number),
            "revision": .count(revision), "stateBytes": .count(stateBytes),
        ]
        if let spawn { members["spawn"] = .text(spawn) }
        return members
    }
}

extension ReclaimRecord {
    var json: JSONValue {
        .object([
            "player": .text(player), "server": .text(server), "voided": .count(voided.number),
            "epoch": .count(epoch.number), "reason": .string(reason), "at": .time(at),
        ])
    }
}
