import FederationModel
import Synchronization

/// Prints the demo as a person wants to read it, or as JSON lines.
final class DemoReport: Sendable {
    let isJSON: Bool
    private let lastStep = Mutex(Stopwatch())

    init(isJSON: Bool) {
        self.isJSON = isJSON
    }

    /// How long it is since a step was reported: what a refused step took.
    var sinceLastStep: Double { lastStep.withLock { $0.milliseconds } }

    func title(_ text: String) {
        guard !isJSON else { return }
        Terminal.say()
        Terminal.say(Terminal.styled(text, .bold))
    }

    func note(_ text: String) {
        guard !isJSON else { return }
        Terminal.say("  " + text)
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
            Terminal.say(jsonLine(object))
        } else {
            Terminal.say(
                CrossingText.line(step: step.rawValue, ok: ok, detail: detail, milliseconds: milliseconds))
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
