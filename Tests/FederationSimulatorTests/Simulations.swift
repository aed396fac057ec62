import Dispatch

/// Where tests run whole simulations: one after the other, on a thread of their own. On the threads that all tests share they
/// would take each of them for minutes, and everybody else's deadlines would pass meanwhile.
@globalActor
actor Simulations {
    static let shared = Simulations()

    private let executor = OneThread()

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
}

private final class OneThread: SerialExecutor {
    private let queue = DispatchQueue(label: "simulations")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
