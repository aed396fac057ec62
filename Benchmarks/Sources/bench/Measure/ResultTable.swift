import Foundation

/// The rows for people, and for programs.
struct ResultTable {
    private(set) var rows: [Row] = []

    mutating func add(_ row: Row) {
        rows.append(row)
        // At once, also into a pipe.
        FileHandle.standardOutput.write(Data((Self.line(row) + "\n").utf8))
    }

    static let head = line("part", "what", "ours", "theirs", "unit", "ratio", "of the pairs", "aim", "")

    private static func line(_ row: Row) -> String {
        let cells = cells(row)
        return line(
            cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7], cells[8])
    }

    private static func cells(_ row: Row) -> [String] {
        [
            row.part, row.name, number(row.ours), row.theirs.map(number) ?? "", row.unit, row.ratio.map(ratio) ?? "",
            row.spread.map { "\(ratio($0[0]))–\(ratio($0[1]))" } ?? "", row.aim ?? "",
            row.met.map { $0 ? "met" : "not met" } ?? "",
        ]
    }

    private static func line(
        _ part: String, _ name: String, _ ours: String, _ theirs: String, _ unit: String, _ ratio: String,
        _ spread: String, _ aim: String, _ met: String
    ) -> String {
        let columns = [
            pad(part, 10), pad(name, 68), pad(ours, 11, left: false), pad(theirs, 11, left: false), pad(unit, 9),
            pad(ratio, 6, left: false), pad(spread, 12, left: false), pad(aim, 8), met,
        ]
        return columns.joined(separator: " ")
    }

    private static func pad(_ text: String, _ width: Int, left: Bool = true) -> String {
        let space = String(repeating: " ", count: max(0, width - text.count))
        return left ? text + space : space + text
    }

    private static func number(_ value: Double) -> String {
        String(format: value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value)
    }

    private static func ratio(_ value: Double) -> String { String(format: "%.2f", value) }

    /// Puts the rows of the parts that were measured into the file, in place of what they had there, beside those of the
    /// others.
    func write(to path: String) throws {
        let url = URL(fileURLWithPath: path)
        let measured = Set(rows.map(\.part))
        let kept = FileManager.default.fileExists(atPath: path) ? try Self.read(path) : []
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = Self.notFinite.encoding
        let lines = try (kept.filter { !measured.contains($0.part) } + rows).map {
            String(decoding: try encoder.encode($0), as: UTF8.self)
        }
        try Data(("[\n" + lines.joined(separator: ",\n") + "\n]\n").utf8).write(to: url, options: .atomic)
    }

    private static func read(_ path: String) throws -> [Row] {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = notFinite.decoding
        return try decoder.decode([Row].self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// How a figure that could not be had is written: JSON has no such numbers.
    private static let notFinite = (
        encoding: JSONEncoder.NonConformingFloatEncodingStrategy.convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan"),
        decoding: JSONDecoder.NonConformingFloatDecodingStrategy.convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    )

    // MARK: Markdown

    /// The kept rows as a table for BENCHMARKS.md.
    static func markdown(of path: String) throws -> String {
        let head = [
            "| part | what | ours | theirs | unit | ratio | of the pairs | aim | |",
            "|---|---|---:|---:|---|---:|---|---|---|",
        ]
        let lines = try read(path).map { row in
            let cells = cells(row).map {
                $0.replacingOccurrences(of: "|", with: "\\|").replacingOccurrences(of: "<=", with: "≤")
                    .replacingOccurrences(of: ">=", with: "≥")
            }
            return "| " + cells.joined(separator: " | ") + " |"
        }
        return (head + lines).joined(separator: "\n")
    }
}
