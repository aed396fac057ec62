public import CoreMetrics
import Synchronization

/// Keeps the process's metrics (swift-metrics) and writes them in the Prometheus text format, version 0.0.4.
///
/// Counters and gauges appear under their own name, timers as histograms in seconds with `_seconds` behind their name, other
/// recorders as summaries without quantiles. Characters that a name may not have become `_`. A metric has at most
/// ``seriesPerMetric`` series; what has further labels is counted together under the label value `other`, so that no input
/// can fill the memory. A name that is taken by a metric of another kind is not shown, and counted in
/// `aether_metrics_hidden_total`.
public final class PrometheusRegistry: MetricsFactory, Sendable {
    private struct Family: Sendable {
        let kind: MetricKind
        var series: [String: any MetricSeries] = [:]
    }

    private struct State: Sendable {
        var families: [String: Family] = [:]
        var hidden = 0
    }

    /// A gauge with labels whose values are only known when somebody asks.
    public struct GaugeFamily: Sendable {
        public let name: String
        public let samples: [(labels: [(String, String)], value: Double)]

        public init(name: String, samples: [(labels: [(String, String)], value: Double)]) {
            self.name = name
            self.samples = samples
        }
    }

    private let state = Mutex(State())
    private let seriesPerMetric: Int

    /// - Parameter seriesPerMetric: the bound on one metric's combinations of labels.
    public init(seriesPerMetric: Int = 256) {
        precondition(seriesPerMetric > 0, "a metric needs a series")
        self.seriesPerMetric = seriesPerMetric
    }

    // MARK: MetricsFactory

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, dimensions, CounterSeries.self)
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, dimensions, GaugeSeries.self)
    }

    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        aggregate ? series(label, dimensions, SummarySeries.self) : series(label, dimensions, GaugeSeries.self)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label.hasSuffix("_seconds") ? label : label + "_seconds", dimensions, HistogramSeries.self)
    }

    public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }

    public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }

    public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }

    public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    // MARK: Text

    /// Everything, sorted by name and labels.
    ///
    /// - Parameters:
    ///   - gauges: further gauges that are only known when somebody asks.
    ///   - labelled: the same with labels; each name once.
    public func text(gauges: [(name: String, value: Double)] = [], labelled: [GaugeFamily] = []) -> String {
        let (families, hidden) = state.withLock { ($0.families, $0.hidden) }
        var sections: [(name: String, lines: [String])] = families.map { name, family in
            let lines = family.series.keys.sorted().flatMap { labels in family.series[labels]?.lines(name, labels) ?? []
            }
            return (name, ["# TYPE \(name) \(family.kind.rawValue)"] + lines)
        }
        sections += gauges.map { name, value in
            (name, ["# TYPE \(name) gauge", "\(name) \(ExpositionFormat.number(value))"])
        }
        sections += labelled.filter { !$0.samples.isEmpty }.map { family in
            let lines = family.samples.map { labels, value in
                "\(family.name)\(ExpositionFormat.labels(labels)) \(ExpositionFormat.number(value))"
            }
            return (family.name, ["# TYPE \(family.name) gauge"] + lines)
        }
        let hiddenName = "aether_metrics_hidden_total"
        sections.append((hiddenName, ["# TYPE \(hiddenName) counter", "\(hiddenName) \(hidden)"]))
        return sections.sorted { $0.name < $1.name }.flatMap(\.lines).joined(separator: "\n") + "\n"
    }

    // MARK: Inside

    /// The series of a name and labels, made when it is new. A hidden one works and is shown nowhere.
    private func series<Series: MetricSeries>(
        _ label: String, _ dimensions: [(String, String)], _ type: Series.Type
    ) -> Series {
        let name = ExpositionFormat.metricName(label)
        let labels = ExpositionFormat.labels(dimensions)
        return state.withLock { state in
            var family = state.families[name] ?? Family(kind: Series.kind)
            guard family.kind == Series.kind else {
                state.hidden += 1
                return Series()
            }
            var key = labels
            if family.series[key] == nil, family.series.count >= seriesPerMetric {
                key = ExpositionFormat.labels(dimensions.map { ($0.0, "other") })
            }
            if let known = family.series[key] as? Series { return known }
            let fresh = Series()
            family.series[key] = fresh
            state.families[name] = family
            return fresh
        }
    }

    private func remove(_ handler: AnyObject) {
        state.withLock { state in
            for (name, family) in state.families {
                guard let key = family.series.first(where: { $0.value === handler })?.key else { continue }
                state.families[name]?.series[key] = nil
                if state.families[name]?.series.isEmpty == true { state.families[name] = nil }
                return
            }
        }
    }
}

/// The kinds of the text format that occur here.
enum MetricKind: String, Sendable {
    case counter
    case gauge
    case histogram
    case summary
}
