/// The spelling of the Prometheus text format, version 0.0.4.
enum ExpositionFormat {
    /// A metric's name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    static func metricName(_ text: String) -> String {
        name(text, extra: 0x3A)
    }

    /// Labels in braces, sorted by name; nothing when there are none. A name that stands twice keeps its first value; `le`,
    /// which histograms need for themselves, and names that begin with `__` are set apart by a prefix.
    static func labels(_ dimensions: [(String, String)]) -> String {
        var values: [String: String] = [:]
        for (label, value) in dimensions {
            var name = name(label, extra: nil)
            if name == "le" || name == "quantile" || name.hasPrefix("__") { name = "exported_\(name)" }
            if values[name] == nil { values[name] = escaped(value) }
        }
        guard !values.isEmpty else { return "" }
        return "{" + values.keys.sorted().map { "\($0)=\"\(values[$0] ?? "")\"" }.joined(separator: ",") + "}"
    }

    /// Labels with one more behind them.
    static func adding(_ name: String, _ value: String, to labels: String) -> String {
        labels.isEmpty ? "{\(name)=\"\(value)\"}" : "\(labels.dropLast()),\(name)=\"\(value)\"}"
    }

    /// A sample's value.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }

    /// A label's value: backslash, quotation mark and line feed are escaped.
    private static func escaped(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func name(_ text: String, extra: UInt8?) -> String {
        var bytes = text.utf8.map { byte in
            switch byte {
            case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x5F: byte
            default: byte == extra ? byte : 0x5F
            }
        }
        if bytes.first.map({ (0x30...0x39).contains($0) }) ?? true { bytes.insert(0x5F, at: 0) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
