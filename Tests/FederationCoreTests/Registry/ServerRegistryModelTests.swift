import FederationCore
import FederationModel
import TestKit
import Testing

/// The registry against the simplest thing that could be right: a dictionary and scans.
@Suite("ServerRegistry against a model")
struct ServerRegistryModelTests {
    struct Model {
        var servers: [ServerID: FederatedServer] = [:]
        var tombstones: [ServerID: ServerTombstone] = [:]

        mutating func register(_ server: FederatedServer) -> Bool {
            if let known = servers[server.id] {
                guard known.publicKey == server.publicKey, server.recordSequence > known.recordSequence else {
                    return false
                }
                servers[server.id] = FederatedServer(
                    id: server.id, name: server.name, endpoint: server.endpoint, publicKey: known.publicKey,
                    registeredAt: known.registeredAt, lastHeartbeat: known.lastHeartbeat, status: known.status,
                    recordSequence: server.recordSequence, suspensionReason: known.suspensionReason)
                return true
            }
            if let tombstone = tombstones[server.id], tombstone.publicKey != server.publicKey { return false }
            var fresh = server
            fresh.status = tombstones[server.id]?.isSuspended == true ? .suspended : .offline
            fresh.suspensionReason = tombstones[server.id]?.suspensionReason
            tombstones[server.id] = nil
            servers[server.id] = fresh
            return true
        }

        mutating func deregister(_ id: ServerID) -> Bool {
            guard let server = servers.removeValue(forKey: id) else { return false }
            tombstones[id] = ServerTombstone(
                server: id, publicKey: server.publicKey, isSuspended: server.status == .suspended,
                suspensionReason: server.suspensionReason)
            return true
        }

        mutating func heartbeat(_ id: ServerID, _ time: Timestamp) -> Bool {
            guard let server = servers[id], server.status != .suspended, time >= server.lastHeartbeat ?? time else {
                return false
            }
            servers[id]?.lastHeartbeat = time
            servers[id]?.status = .online
            return true
        }

        mutating func set(_ id: ServerID, _ status: ServerStatus) -> Bool {
            guard let server = servers[id], server.status == status || server.status != .suspended else { return false }
            servers[id]?.status = status
            return true
        }

        mutating func reinstate(_ id: ServerID) -> Bool {
            guard let server = servers[id] else { return false }
            if server.status == .suspended { servers[id]?.status = .offline }
            servers[id]?.suspensionReason = nil
            return true
        }

        func list(_ isWanted: (FederatedServer) -> Bool) -> [FederatedServer] {
            servers.values.filter(isWanted).sorted { $0.id < $1.id }
        }
    }

    @Test("ten thousand random acts leave both the same", arguments: [UInt64(1), 2, 3, 4, 5])
    func model(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var registry = ServerRegistry()
        var model = Model()
        var refused = 0
        for step in 0..<10_000 {
            let name = "s\(Int.random(in: 0..<60, using: &random))"
            let id = TableSamples.id(name)
            let agreed: (Bool, Bool)
            switch Int.random(in: 0..<10, using: &random) {
            case 0...2:
                let server = TableSamples.server(
                    name, name: "Step \(step)",
                    key: TableSamples.key(UInt8.random(in: 0..<10, using: &random) == 0 ? 2 : 1),
                    sequence: UInt64.random(in: 0..<50, using: &random))
                agreed = ((try? registry.register(server)) != nil, model.register(server))
            case 3: agreed = ((try? registry.deregister(id)) != nil, model.deregister(id))
            case 4...5:
                let time = Timestamp(milliseconds: Int64(step) - Int64.random(in: 0..<100, using: &random))
                let accepted: Bool
                do {
                    _ = try registry.recordHeartbeat(id, at: time)
                    accepted = true
                } catch {
                    accepted = false
                }
                agreed = (accepted, model.heartbeat(id, time))
            case 6...7:
                let status = ServerStatus.allCases.randomElement(using: &random) ?? .online
                agreed = ((try? registry.updateStatus(id, to: status)) != nil, model.set(id, status))
            case 8:
                let wasKnown = model.servers[id] != nil
                if wasKnown { model.servers[id]?.status = .suspended }
                if wasKnown { model.servers[id]?.suspensionReason = "step \(step)" }
                agreed = ((try? registry.suspend(id, reason: "step \(step)")) != nil, wasKnown)
            default: agreed = ((try? registry.reinstate(id)) != nil, model.reinstate(id))
            }
            #expect(agreed.0 == agreed.1, "step \(step)")
            if !agreed.0 { refused += 1 }
            #expect(registry.server(id) == model.servers[id])
            #expect(registry.status(of: id) == model.servers[id]?.status)
            #expect(registry.lastHeartbeat(of: id) == model.servers[id]?.lastHeartbeat)
            guard step.isMultiple(of: 100) else { continue }
            #expect(registry.count == model.servers.count)
            #expect(registry.list(after: id, limit: 7) == Array(model.list { $0.id > id }.prefix(7)))
            for status in ServerStatus.allCases {
                #expect(registry.list(status: status, limit: .max) == model.list { $0.status == status })
            }
            #expect(registry.tombstones == model.tombstones.values.sorted { $0.server < $1.server })
        }
        #expect(refused > 500 && refused < 9_000)
    }
}
