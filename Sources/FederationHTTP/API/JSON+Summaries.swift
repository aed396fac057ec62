import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Foundation

// How the service's values look in JSON: camel case, times as RFC 3339, and a member that has no value left out.

extension JSONValue {
    static func text(_ value: some CustomStringConvertible) -> JSONValue { .string(value.description) }

    static func time(_ timestamp: Timestamp) -> JSONValue { .string(timestamp.rfc3339) }

    static func count(_ number: Int) -> JSONValue { .integer(Int64(number)) }

    /// Numbers beyond 2^63 do not occur, and would be shown as that.
    static func count(_ number: UInt64) -> JSONValue { .integer(Int64(clamping: number)) }
}

/// Base64 with padding (RFC 4648 §4).
func base64(_ bytes: [UInt8]) -> String {
    Data(bytes).base64EncodedString()
}

extension FederatedServer {
    var members: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "id": .text(id), "name": .string(name), "endpoint": .text(endpoint), "publicKey": .text(publicKey),
            "fingerprint": .string(publicKey.fingerprint), "registeredAt": .time(registeredAt),
            "status": .string(status.rawValue), "recordSequence": .count(recordSequence),
        ]
        if let lastHeartbeat { members["lastHeartbeat"] = .time(lastHeartbeat) }
        if !alternatives.isEmpty { members["alternatives"] = .array(alternatives.map { .text($0) }) }
        if !worlds.isEmpty { members["worlds"] = .array(worlds.map { .text($0) }) }
        if let suspensionReason { members["suspensionReason"] = .string(suspensionReason) }
        return members
    }

    var json: JSONValue { .object(members) }
}

extension PeerSummary {
    var json: JSONValue {
        var members = entry?.members ?? ["id": .text(id), "publicKey": .text(publicKey)]
        members["status"] = .string(status.rawValue)
        if let suspensionReason { members["suspensionReason"] = .string(suspensionReason) }
        // The pinned key's, which is what counts.
        members["fingerprint"] = .string(fingerprint)
        members["addedAt"] = .time(addedAt)
        members["trusted"] = .bool(isTrusted)
        members["health"] = .string(health.rawValue)
        members["state"] = .string(state.rawValue)
        members["trust"] = .text(trust)
        members["scopes"] = .array(scopes.names.map { .string($0) })
        members["keySince"] = .time(keySince)
        if isVouchedFor { members["vouchedFor"] = .bool(true) }
        if let queuedFrames { members["queuedFrames"] = .count(queuedFrames) }
        if let failingSeconds { members["failingSeconds"] = .integer(Int64(failingSeconds)) }
        if let direction { members["channel"] = .string(direction.rawValue) }
        if let roundTripMicroseconds { members["roundTripMicroseconds"] = .integer(roundTripMicroseconds) }
        if let dial { members["dial"] = dial.json }
        return .object(members)
    }
}

extension DialState {
    var json: JSONValue {
        var members: [String: JSONValue] = ["attempts": .count(attempts)]
        if let lastFailure { members["lastFailure"] = .string(lastFailure) }
        if let lastCode { members["lastCode"] = .string(lastCode) }
        if let nextRetryMilliseconds { members["nextRetryMilliseconds"] = .integer(nextRetryMilliseconds) }
        return .object(members)
    }
}

extension ServerSummary {
    var json: JSONValue {
        var members: [String: JSONValue] = [
            "id": .text(id), "name": .string(name), "endpoint": .text(endpoint), "publicKey": .text(publicKey),
            "fingerprint": .string(fingerprint), "servers": .count(servers), "peers": .count(peers),
            "trustedPeers": .count(trustedPeers), "healthyPeers": .count(healthyPeers), "routes": .count(routes),
            "worlds": .count(worlds), "players": .count(players), "openHandoffs": .count(openHandoffs),
            "startedAt": .time(startedAt), "degradedPeers": .count(degradedPeers),
            "connectedPeers": .count(connectedPeers), "suspendedPeers": .count(suspendedPeers),
            "failingPeers": .array(
                failingPeers.map { .object(["id": .text($0.peer), "seconds": .integer(Int64($0.seconds))]) }),
        ]
        if let storageFailure { members["storageFailure"] = .string(storageFailure) }
        return .object(members)
    }
}

extension PortalRoute {
    var members: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "portal": .text(portal), "source": .text(source), "destination": .text(destination), "world": .text(world),
            "active": .bool(isActive),
        ]
        if let spawn { members["spawn"] = .text(spawn) }
        return members
    }

    var json: JSONValue { .object(members) }
}

extension ResolvedRoute {
    /// - Parameters:
    ///   - source: the server on which the portal stands.
    ///   - endpoint: the destination's.
    func json(of portal: PortalID, on source: ServerID, at endpoint: Endpoint) -> JSONValue {
        // What resolves is on.
        let route = PortalRoute(
            portal: portal, source: source, destination: destination, world: world, spawn: spawn, isActive: true)
        var members = route.members
        members["endpoint"] = .text(endpoint)
        members["status"] = .string(status.rawValue)
        members["health"] = .string(health.rawValue)
        let url = AetherURL(host: endpoint.host, port: endpoint.port, world: world, spawn: spawn)
        if let url { members["url"] = .text(url) }
        return .object(members)
    }
}

extension WorldRecord {
    var json: JSONValue {
        .object([
            "world": .text(world), "name": .string(name), "manifest": .text(manifest),
            "manifestSize": .integer(manifestSize), "assets": .count(assets), "totalSize": .integer(totalSize),
        ])
    }
}

extension PlayerRecord {
    /// Without what the state itself would have to be read for.
    var briefMembers: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "player": .text(player), "world": .text(world), "epoch": .count(epoch.number), "revision": .count(revision),
            "stateBytes": .count(state.count),
        ]
        switch presence {
        case .playable:
            members["presence"] = .string("playable")
        case .departing(let handoff):
            members["presence"] = .string("departing")
            members["handoff"] = .text(handoff)
        case .departed(let server, let handoff):
            members["presence"] = .string("departed")
            members["server"] = .text(server)
            members["handoff"] = .text(handoff)
        case .recalled:
            members["presence"] = .string("recalled")
            members["server"] = .text(player.home)
        case .left:
            members["presence"] = .string("left")
        }
        if let spawn { members["spawn"] = .text(spawn) }
        if let clientKey { members["clientKey"] = .text(clientKey) }
        return members
    }

    var members: [String: JSONValue] {
        briefMembers.merging(["sha256": .text(ContentHash.of(state))]) { _, new in new }
    }
}

extension Crossing {
    var json: JSONValue {
        var members: [String: JSONValue] = [
            "id": .text(id), "role": .string(role.rawValue), "player": .text(player), "portal": .text(portal),
            "peer": .text(peer), "world": .text(world), "phase": .string(phase.rawValue),
            "steps": .array(steps.map { .object($0.members) }), "openedAt": .time(openedAt),
            "changedAt": .time(changedAt),
        ]
        if let refusal { members["refusal"] = .object(refusal.members) }
        if let epoch { members["epoch"] = .count(epoch.number) }
        if let receipt { members["receipt"] = .string(receipt) }
        if let redirect { members["redirect"] = .object(redirect.members) }
        return .object(members)
    }
}

extension Crossing.Step {
    var members: [String: JSONValue] {
        [
            "step": .string(step.rawValue), "ok": .bool(ok), "detail": .string(detail),
            "ms": .number((milliseconds * 1000).rounded() / 1000),
        ]
    }
}

extension Crossing.Redirect {
    var members: [String: JSONValue] {
        ["endpoint": .text(endpoint), "token": .string(token), "url": .string("\(endpoint)\(ClientSocket.path)")]
    }
}

extension Refusal {
    var members: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "code": .string(code), "reason": .string(reason), "remedy": .string(remedy),
        ]
        if let step { members["step"] = .string(step.rawValue) }
        return members
    }
}
