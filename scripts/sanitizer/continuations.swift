// Tells the thread sanitizer of Swift's continuations. Compiled without it and linked into what it watches; see
// scripts/sanitize.
//
// The runtime tells it that `resume` releases the task, and that a task that starts to run on a thread acquires it.
// But a task whose continuation was resumed before it came to wait goes on at once, on the thread where it is, and
// nobody says that this acquires, too: what was done before `resume` then looks like a race with what is done
// afterwards.
//
// These four stand before the standard library's own of the same names. They do the same, and say so. The order is
// there in any case: none of it is invented, so that no race is hidden.
import Builtin
import _Concurrency

@_silgen_name("__tsan_acquire")
private func acquire(_ address: UnsafeMutableRawPointer)

@inline(__always)
private func acquireTask() {
    withUnsafeCurrentTask { if let task = $0 { acquire(unsafeBitCast(task, to: UnsafeMutableRawPointer.self)) } }
}

@_silgen_name("$ss22withUnsafeContinuation9isolation_xScA_pSgYi_ySccyxs5NeverOGXEtYalF")
public func withUnsafe<Value>(
    isolation: isolated (any Actor)?, _ body: (UnsafeContinuation<Value, Never>) -> Void
) async -> sending Value {
    let value: Value = await Builtin.withUnsafeContinuation { body(unsafeBitCast($0, to: UnsafeContinuation.self)) }
    acquireTask()
    return value
}

@_silgen_name("$ss30withUnsafeThrowingContinuation9isolation_xScA_pSgYi_ySccyxs5Error_pGXEtYaKlF")
public func withUnsafeThrowing<Value>(
    isolation: isolated (any Actor)?, _ body: (UnsafeContinuation<Value, any Error>) -> Void
) async throws -> sending Value {
    do {
        let value: Value = try await Builtin.withUnsafeThrowingContinuation {
            body(unsafeBitCast($0, to: UnsafeContinuation.self))
        }
        acquireTask()
        return value
    } catch {
        acquireTask()
        throw error
    }
}

@_silgen_name("$ss23withCheckedContinuation9isolation8function_xScA_pSgYi_SSyScCyxs5NeverOGXEtYalF")
public func withChecked<Value>(
    isolation: isolated (any Actor)?, function: String, _ body: (CheckedContinuation<Value, Never>) -> Void
) async -> sending Value {
    await withUnsafe(isolation: isolation) { body(CheckedContinuation(continuation: $0, function: function)) }
}

@_silgen_name("$ss31withCheckedThrowingContinuation9isolation8function_xScA_pSgYi_SSyScCyxs5Error_pGXEtYaKlF")
public func withCheckedThrowing<Value>(
    isolation: isolated (any Actor)?, function: String, _ body: (CheckedContinuation<Value, any Error>) -> Void
) async throws -> sending Value {
    try await withUnsafeThrowing(isolation: isolation) {
        body(CheckedContinuation(continuation: $0, function: function))
    }
}
