import FederationCore
import FederationModel
import FederationWire

/// Frames in words and numbers, for the history.
extension FederationFrame {
    var label: String {
        switch self {
        case .ready: "ready"
        case .heartbeat: "heartbeat"
        case .acknowledgement: "acknowledgement"
        case .worldRequest: "world request"
        case .worldResponse: "world response"
        case .assetRequest: "asset request"
        case .assetResponse: "asset response"
        case .offer: "offer"
        case .accept: "accept"
        case .reject(let rejection): "reject \(rejection.code)"
        case .commit: "commit"
        case .admitted: "receipt"
        case .abort: "abort"
        case .query: "query"
        case .verdict(let verdict):
            switch verdict.decision {
            case .undecided: "verdict undecided"
            case .committed: "verdict committed"
            case .aborted: "verdict aborted"
            }
        case .position(let position): "position \(position)"
        case .evidence: "evidence"
        case .recall: "recall"
        case .notice: "notice"
        case .introductions: "introductions"
        case .probe: "probe"
        case .probeResult: "probe result"
        }
    }

    var kind: Int {
        switch self {
        case .ready: 1
        case .heartbeat: 2
        case .acknowledgement: 3
        case .worldRequest: 4
        case .worldResponse: 5
        case .assetRequest: 6
        case .assetResponse: 7
        case .offer: 8
        case .accept: 9
        case .reject: 10
        case .commit: 11
        case .admitted: 12
        case .abort: 13
        case .query: 14
        case .verdict(let verdict):
            switch verdict.decision {
            case .undecided: 15
            case .committed: 16
            case .aborted: 17
            }
        case .position: 18
        case .evidence: 19
        case .recall: 20
        case .notice: 21
        case .introductions: 22
        case .probe: 23
        case .probeResult: 24
        }
    }
}

extension CrossingEvent.Kind {
    var label: String {
        switch self {
        case .offered: "offered"
        case .committed: "committed"
        case .completed: "completed"
        case .returned(let refusal): "returned \(refusal.code)"
        case .voided(let refusal): "voided \(refusal.code)"
        case .reserved: "reserved"
        case .admitted: "admitted"
        case .withdrawn: "withdrawn"
        case .arriving: "arriving"
        case .turnedAway(let refusal): "turned away \(refusal.code)"
        case .withdrawnHere: "not here any more"
        }
    }
}
