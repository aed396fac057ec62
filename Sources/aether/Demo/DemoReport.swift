import FederationModel

/// Prints the demo as a person wants to read it, or as JSON lines.
struct DemoReport: Sendable {
    let isJSON: Bool

    func title(_ text: String) {
        guard !isJSON else { return }
        Terminal.say()
        Terminal.say(Terminal.styled(text, .bold))
    }

    func note(_ text: String) {
        guard !isJSON else { return }
        Terminal.say("  " + text)
    }

    func step(
        _ step: CrossingStep, ok: Bool = true, milliseconds: Double, detail: String, extra: [String: any Sendable] = [:]
    ) {
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
