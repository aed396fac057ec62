import NIOPosix
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Where tests run whole simulations: on two threads of their own, which give way to everything else. On the threads that all
/// tests share they would take each of them for minutes, and everybody else's deadlines would pass meanwhile.
struct Simulations: TestTrait, SuiteTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(SimulationThreads.shared, operation: function)
    }
}

extension Trait where Self == Simulations {
    /// Each case of these tests runs simulations.
    static var simulations: Self { Self() }
}

private final class SimulationThreads: TaskExecutor {
    static let shared = SimulationThreads()

    private let pool = NIOThreadPool(numberOfThreads: 2)

    private init() { pool.start() }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pool.submit { _ in
            #if canImport(Glibc)
                // Of this thread alone: so it is on Linux.
                setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
            #endif
            job.runSynchronously(on: self.asUnownedTaskExecutor())
        }
    }
}
