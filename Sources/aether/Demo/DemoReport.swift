import FederationModel
import Synchronization

/// Prints the demo as a person wants to read it, or as JSON lines. Once standard output has failed nothing more is printed: the
/// demo has servers to end first.
final class DemoReport: Sendable {
    let isJSON: Bool
    private let lastStep = Mutex(Stopwatch())
    private let failed = Mutex<OutputFailure?>(nil)
    private let failures: AsyncStream<Void>
    private let fail: AsyncStream<Void>.Continuation

    init(isJSON: Bool) {
        self.isJSON = isJSON
        (failures, fail) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Why nothing more is printed.
    var failure: OutputFailure? { failed.withLock { $0 } }

    /// Waits until standard output has failed, or the task is cancelled. For one task.
    func untilFailure() async {
        for await _ in failures { return }
    }

    private func say(_ line: String = "") {
        let hasFailed = failed.withLock { failed in
            if failed == nil { failed = Terminal.put(line) }
            return failed != nil
        }
        if hasFailed { fail.yield() }
    }

    /// How long it is since a step was reported: what a refused step took.
    var sinceLastStep: Double { lastStep.withLock { $0.milliseconds } }

    func title(_ text: String) {
        guard !isJSON else { return }
        say()
        say(Terminal.styled(text, .bold))
    }

    func note(_ text: String) {
        guard !isJSON else { return }
        say("  " + text)
    }

    /// A note that is told on standard error where standard output is JSON.
    func remark(_ text: String) {
        if isJSON { Terminal.error(text) } else { note(text) }
    }

    func step(
        _ step: CrossingStep, ok: Bool = true, milliseconds: Double, detail: String, extra: [String: any Sendable] = [:]
    ) {
        lastStep.withLock { $0 = Stopwatch() }
        if isJSON {
            var object: [String: Any] = [
                "step": step.rawValue, "ok": ok, "ms": (milliseconds * 1_000).rounded() / 1_000, "detail": detail,
            ]
            for (key, value) in extra { object[key] = value }
            say(jsonLine(object))
        } else {
            say(CrossingText.line(step: step.rawValue, ok: ok, detail: detail, milliseconds: milliseconds))
        }
    }
}

/// Measures how long a step took.
struct Stopwatch {
    private let start = ContinuousClock.now

    var milliseconds: Double {
        Double((ContinuousClock.now - start).clampedNanoseconds) / 1_000_000
    }
}
