import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Foundation
import Synchronization
import TestKit
import Testing

@testable import FederationSQLite

/// Counts what has been acknowledged in a file of one byte each, which outlives the process that writes it.
private struct Acknowledgements {
    let path: String

    func add() {
        let file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var byte: UInt8 = 0x2E
        guard write(file, &byte, 1) == 1 else { exit(20) }
        close(file)
    }

    var count: Int {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    }
}

/// Kills this process, as `kill -9` does, at some moment after `count` acknowledgements.
private final class Executioner: Sendable {
    private let remaining: Atomic<Int>

    init(after count: Int, seed: UInt64) {
        remaining = Atomic(count)
        Thread.detachNewThread { [self] in
            while remaining.load(ordering: .acquiring) > 0 { sched_yield() }
            // Somewhere in the middle of what is being written just then.
            var random = SeededGenerator(seed: seed)
            let end = ContinuousClock.now + .microseconds(Int.random(in: 0...3_000, using: &random))
            while ContinuousClock.now < end {}
            kill(getpid(), SIGKILL)
        }
    }

    func count() {
        remaining.subtract(1, ordering: .releasing)
    }
}

private let writers = 6

@Suite("After kill -9")
struct CrashTests {
    @Test(
        "every acknowledged change is there, and each transaction is there whole",
        arguments: [11, 12, 13, 14] as [UInt64])
    func store(seed: UInt64) async throws {
        let scratch = Scratch()
        let root = scratch.path
        for round in 0..<2 as Range<UInt64> {
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [root = root as String, seed = seed as UInt64, round = round as UInt64] in
                let store = try await SQLiteStore.open(in: DataDirectory(at: "\(root)/data"))
                let executioner = Executioner(after: 20 + Int(seed * 7 % 90), seed: seed + round * 100)
                await withTaskGroup(of: Void.self) { group in
                    for writer in 0..<writers {
                        group.addTask { await Self.write(as: writer, to: store, root, executioner) }
                    }
                }
            }
            try await Self.audit(scratch)
        }
    }

    private static func write(as writer: Int, to store: SQLiteStore, _ root: String, _ executioner: Executioner) async {
        let acknowledgements = Acknowledgements(path: "\(root)/acks-\(writer)")
        var number = acknowledgements.count
        while true {
            number += 1
            // Two rows that must agree, and one that is new every time.
            let state = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 3_000)
            let name = "w\(writer)"
            do {
                try await store.apply([
                    .putPlayer(Sample.player(name, revision: UInt64(number), state: state)),
                    .putPlayer(Sample.player("\(name)-twin", revision: UInt64(number), state: state)),
                    .putPlayer(Sample.player("\(name)-n\(number)", isPlain: true)),
                ])
            } catch {
                exit(21)
            }
            acknowledgements.add()
            executioner.count()
        }
    }

    private static func audit(_ scratch: Scratch) async throws {
        let players = try await withStore(scratch.data) { try await $0.load().players }
        let byName = Dictionary(uniqueKeysWithValues: players.map { ($0.player.name.rawValue, $0) })
        var total = 0
        for writer in 0..<writers {
            let acknowledged = Acknowledgements(path: "\(scratch.path)/acks-\(writer)").count
            total += acknowledged
            let revision = Int(byName["w\(writer)"]?.revision ?? 0)
            // The one that was on its way when the process died may be there or not.
            #expect(revision == acknowledged || revision == acknowledged + 1)
            #expect(byName["w\(writer)-twin"]?.revision == byName["w\(writer)"]?.revision)
            #expect(byName["w\(writer)-twin"]?.state == byName["w\(writer)"]?.state)
            #expect((0...revision).dropFirst().allSatisfy { byName["w\(writer)-n\($0)"] != nil })
            #expect(byName["w\(writer)-n\(revision + 1)"] == nil)
        }
        #expect(total >= 20)
    }

    @Test("every acknowledged asset is there, and what is there has its hash", arguments: [31, 32] as [UInt64])
    func assets(seed: UInt64) async throws {
        let scratch = Scratch()
        let root = scratch.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [root = root as String, seed = seed as UInt64] in
            let store = try await FileAssetStore.open(in: DataDirectory(at: "\(root)/data"))
            let executioner = Executioner(after: 15 + Int(seed % 10), seed: seed)
            let acknowledgements = Acknowledgements(path: "\(root)/acks")
            for number in 0... {
                let writer = try await store.write()
                for chunk in Self.chunks(number) { try await writer.append(chunk) }
                _ = try await writer.commit()
                acknowledgements.add()
                executioner.count()
            }
        }
        let store = try await FileAssetStore.open(in: DataDirectory(at: scratch.data))
        let acknowledged = Acknowledgements(path: "\(root)/acks").count
        let listed = try await store.list()
        #expect(acknowledged >= 15)
        #expect(listed.count == acknowledged || listed.count == acknowledged + 1)
        for number in 0..<acknowledged {
            let bytes = Self.chunks(number).flatMap(\.self)
            #expect(try await store.size(of: .of(bytes)) == Int64(bytes.count))
        }
        for asset in listed {
            let bytes = try await readAll(asset.hash, from: store, chunk: 50_000)
            #expect(bytes.map(ContentHash.of) == asset.hash)
        }
        #expect(try Files.names(in: "\(scratch.data)/assets/incoming").isEmpty)
    }

    private static func chunks(_ number: Int) -> [[UInt8]] {
        var random = SeededGenerator(seed: UInt64(number))
        let first = random.bytes(8)
        return (0..<10).map { part in first + [UInt8](repeating: UInt8(part), count: 20_000) }
    }
}
