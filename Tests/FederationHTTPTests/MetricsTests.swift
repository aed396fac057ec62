import CoreMetrics
import TestKit
import Testing

@testable import FederationHTTP

@Suite("The Prometheus text format", .timeLimit(.minutes(patience)))
struct MetricsTests {
    @Test("every kind of metric has its type and its samples, sorted")
    func kinds() {
        let registry = PrometheusRegistry()
        Counter(label: "b_total", dimensions: [("z", "1"), ("a", "2")], factory: registry).increment(by: 3)
        Counter(label: "b_total", dimensions: [("a", "2"), ("z", "1")], factory: registry).increment()
        Counter(label: "b_total", factory: registry).increment(by: -5)
        Gauge(label: "a", factory: registry).record(1.5)
        Meter(label: "m", factory: registry).set(4)
        Meter(label: "m", factory: registry).decrement(by: 1)
        Recorder(label: "r", factory: registry).record(10)
        Recorder(label: "r", factory: registry).record(5)
        #expect(
            registry.text(gauges: [("g", 7)]) == """
                # TYPE a gauge
                a 1.5
                # TYPE aether_metrics_hidden_total counter
                aether_metrics_hidden_total 0
                # TYPE b_total counter
                b_total 0
                b_total{a="2",z="1"} 4
                # TYPE g gauge
                g 7
                # TYPE m gauge
                m 3
                # TYPE r summary
                r_sum 15
                r_count 2

                """)
    }

    @Test("a timer is a cumulative histogram in seconds")
    func timers() throws {
        let registry = PrometheusRegistry()
        let timer = CoreMetrics.Timer(label: "t", dimensions: [("le", "x")], factory: registry)
        for milliseconds in [1, 1, 40, 60_000] { timer.recordMilliseconds(milliseconds) }
        let samples = try Samples(registry.text())
        #expect(samples.types["t_seconds"] == "histogram")
        #expect(samples["t_seconds_bucket{exported_le=\"x\",le=\"0.001\"}"] == 2)
        #expect(samples["t_seconds_bucket{exported_le=\"x\",le=\"0.05\"}"] == 3)
        #expect(samples["t_seconds_bucket{exported_le=\"x\",le=\"30\"}"] == 3)
        #expect(samples["t_seconds_bucket{exported_le=\"x\",le=\"+Inf\"}"] == 4)
        #expect(samples["t_seconds_count{exported_le=\"x\"}"] == 4)
        #expect(samples["t_seconds_sum{exported_le=\"x\"}"] == 60.042)
    }

    @Test(
        "labels are escaped and named as the format demands",
        arguments: [
            ([("a", "x\\y")], #"{a="x\\y"}"#), ([("a", "x\"y")], #"{a="x\"y"}"#), ([("a", "x\ny")], #"{a="x\ny"}"#),
            ([("1-a", "ä")], #"{_1_a="ä"}"#), ([("__name__", "x")], #"{exported___name__="x"}"#),
            ([("a", "1"), ("a", "2")], #"{a="1"}"#), ([], ""),
        ] as [([(String, String)], String)])
    func labels(_ dimensions: [(String, String)], _ text: String) {
        #expect(ExpositionFormat.labels(dimensions) == text)
    }

    @Test(
        "numbers are written as the format reads them",
        arguments: [
            (1.0, "1"), (0.5, "0.5"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (1e300, "1e+300"),
        ])
    func numbers(_ value: Double, _ text: String) {
        #expect(ExpositionFormat.number(value) == text)
    }

    @Test("labels beyond the bound are counted together")
    func cardinality() throws {
        let registry = PrometheusRegistry(seriesPerMetric: 3)
        for index in 0..<100 { Counter(label: "c", dimensions: [("i", "\(index)")], factory: registry).increment() }
        let samples = try Samples(registry.text())
        #expect(samples["c{i=\"other\"}"] == 97)
        #expect(samples.names.filter { $0.hasPrefix("c{") }.count == 4)
    }

    @Test("a name that another kind has is hidden and counted")
    func conflict() throws {
        let registry = PrometheusRegistry()
        Counter(label: "x", factory: registry).increment()
        Gauge(label: "x", factory: registry).record(9)
        let samples = try Samples(registry.text())
        #expect(samples["x"] == 1)
        #expect(samples["aether_metrics_hidden_total"] == 1)
    }

    @Test("a destroyed metric disappears")
    func destroyed() throws {
        let registry = PrometheusRegistry()
        let counter = Counter(label: "x", factory: registry)
        counter.increment()
        counter.destroy()
        #expect(try Samples(registry.text())["x"] == nil)
    }

    @Test("/metrics parses, tells the server's state, and counts requests by route and not by path")
    func endpoint() async throws {
        try await TestServer.run { server async throws in
            try await server.publish()
            try await server.enter("ada")
            for name in ["a", "b", "c"] { _ = try await server.request("GET", "/v1/servers/\(name)") }
            let answer = try await server.request("GET", "/metrics", as: .stranger)
            #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            let samples = try Samples(answer.text)
            #expect(
                samples["aether_worlds"] == 1 && samples["aether_players"] == 1 && samples["aether_storage_ok"] == 1)
            let requests = #"aether_http_requests_total{method="GET",route="/v1/servers/{server}",status="404"}"#
            #expect(samples[requests] == 3)
            #expect(samples.types["aether_http_request_seconds"] == "histogram")
            #expect(!answer.text.contains("ada") && !answer.text.contains(TestServer.adminKey))
        }
    }
}

/// The text format, read by its grammar.
struct Samples {
    let types: [String: String]
    private let values: [String: Double]

    var names: [String] { values.keys.sorted() }

    subscript(sample: String) -> Double? { values[sample] }

    init(_ text: String) throws {
        var types: [String: String] = [:]
        var values: [String: Double] = [:]
        try #require(text.hasSuffix("\n"))
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let parts = line.split(separator: " ")
                try #require(parts.count == 4 && types[String(parts[2])] == nil, "\(line)")
                types[String(parts[2])] = String(parts[3])
                continue
            }
            let grammar =
                /([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+\})?) (\S+)/
            let match = try #require(try grammar.wholeMatch(in: line), "\(line)")
            try #require(values[String(match.1)] == nil, "twice: \(line)")
            values[String(match.1)] = try #require(Double(match.2 == "+Inf" ? "inf" : String(match.2)))
        }
        self.types = types
        self.values = values
    }
}
