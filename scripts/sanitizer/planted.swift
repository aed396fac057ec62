// What a sanitizer must report, and what it must not: `planted race`, `planted use-after-free`, `planted nothing`. Run
// by scripts/sanitize before every test, so that "clean" never means "blind".
import Dispatch
import Foundation
import Synchronization

/// What a data race looks like that the compiler does not see.
private final class Shared: @unchecked Sendable {
    var number = 0
    var numbers: [Int] = []

    func add(_ number: Int) {
        if numbers.count == 10 { numbers.removeAll() }
        numbers.append(number)
    }
}

private final class Guarded: Sendable {
    let shared = Mutex(Shared())
}

@main
struct Planted {
    static let workers = 4
    static let rounds = 10_000

    static func main() async {
        switch CommandLine.arguments.dropFirst().first {
        case "race": race()
        case "use-after-free": useAfterFree()
        default:
            await mutex()
            await continuations()
        }
    }

    /// Two threads, each of which knows nothing of the other: a race even when they happen to take turns.
    private static func race() {
        let shared = Shared()
        let done = DispatchSemaphore(value: 0)
        for _ in 0..<2 {
            Thread.detachNewThread {
                shared.number += 1
                done.signal()
            }
        }
        done.wait()
        done.wait()
    }

    private static func useAfterFree() {
        let number = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        number.initialize(to: 1)
        number.deallocate()
        print(number.pointee)
    }

    /// A mutex that is fought over.
    private static func mutex() async {
        let guarded = Guarded()
        await withTaskGroup { group in
            for worker in 0..<workers {
                group.addTask { for _ in 0..<rounds { guarded.shared.withLock { $0.add(worker) } } }
            }
        }
    }

    /// Continuations that are resumed about when their task comes to wait for them.
    private static func continuations() async {
        await withTaskGroup { group in
            for worker in 0..<workers {
                group.addTask {
                    let queue = DispatchQueue(label: "\(worker)")
                    for _ in 0..<rounds {
                        await withUnsafeContinuation { continuation in
                            pass(on: queue) { continuation.resume(returning: $0) }
                        }
                        .add(worker)
                        await withCheckedContinuation { continuation in
                            pass(on: queue) { continuation.resume(returning: $0) }
                        }
                        .add(worker)
                    }
                }
            }
        }
    }

    private static func pass(on queue: DispatchQueue, _ resume: @escaping @Sendable (Shared) -> Void) {
        queue.async {
            let shared = Shared()
            shared.add(0)
            resume(shared)
        }
        for _ in 0..<Int.random(in: 0..<300) {}
    }
}
