import CoreMetrics
import Synchronization

/// One combination of a metric's labels.
protocol MetricSeries: AnyObject, Sendable {
    static var kind: MetricKind { get }

    init()

    /// The samples, in the text format's order.
    func lines(_ name: String, _ labels: String) -> [String]
}

/// Only ever grows.
final class CounterSeries: MetricSeries, CounterHandler {
    static let kind = MetricKind.counter

    private let value = Mutex<Int64>(0)

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        value.withLock { value in
            let (sum, overflow) = value.addingReportingOverflow(amount)
            value = overflow ? .max : sum
        }
    }

    func reset() {
        value.withLock { $0 = 0 }
    }

    func lines(_ name: String, _ labels: String) -> [String] {
        ["\(name)\(labels) \(value.withLock { $0 })"]
    }
}

/// The last value.
final class GaugeSeries: MetricSeries, MeterHandler, RecorderHandler {
    static let kind = MetricKind.gauge

    private let value = Mutex(0.0)

    func set(_ value: Int64) { set(Double(value)) }

    func set(_ value: Double) {
        self.value.withLock { $0 = value }
    }

    func increment(by amount: Double) {
        value.withLock { $0 += amount }
    }

    func decrement(by amount: Double) {
        value.withLock { $0 -= amount }
    }

    func record(_ value: Int64) { set(value) }

    func record(_ value: Double) { set(value) }

    func lines(_ name: String, _ labels: String) -> [String] {
        ["\(name)\(labels) \(ExpositionFormat.number(value.withLock { $0 }))"]
    }
}

/// How many values there were, and their sum.
final class SummarySeries: MetricSeries, RecorderHandler {
    static let kind = MetricKind.summary

    private let state = Mutex((count: 0, sum: 0.0))

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        state.withLock {
            $0.count += 1
            $0.sum += value
        }
    }

    func lines(_ name: String, _ labels: String) -> [String] {
        let (count, sum) = state.withLock { $0 }
        return ["\(name)_sum\(labels) \(ExpositionFormat.number(sum))", "\(name)_count\(labels) \(count)"]
    }
}

/// How many durations fell under each of a few bounds.
final class HistogramSeries: MetricSeries, TimerHandler {
    static let kind = MetricKind.histogram

    /// Seconds; from a fast request on one machine to a handoff that runs into its timeout.
    static let bounds = [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

    private struct State: Sendable {
        /// By bound, not cumulative; the last is for what is over all of them.
        var counts = [Int](repeating: 0, count: HistogramSeries.bounds.count + 1)
        var sum = 0.0
    }

    private let state = Mutex(State())

    func recordNanoseconds(_ duration: Int64) {
        let seconds = Double(duration) / 1_000_000_000
        let index = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
        state.withLock {
            $0.counts[index] += 1
            $0.sum += seconds
        }
    }

    func lines(_ name: String, _ labels: String) -> [String] {
        let state = state.withLock { $0 }
        var total = 0
        var lines: [String] = []
        for (bound, count) in zip(Self.bounds.map { ExpositionFormat.number($0) } + ["+Inf"], state.counts) {
            total += count
            lines.append("\(name)_bucket\(ExpositionFormat.adding("le", bound, to: labels)) \(total)")
        }
        lines.append("\(name)_sum\(labels) \(ExpositionFormat.number(state.sum))")
        lines.append("\(name)_count\(labels) \(total)")
        return lines
    }
}
