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

    /// Puts what was measured into the file, beside what it has of other parts.
    ///
    /// - Parameters:
    ///   - isWhole: whether the parts were measured as a whole. Otherwise only the rows of the same names are replaced, and the
    ///     others of the same part stay.
    ///   - anew: whether the runs of the same rows earlier that day count no more.
    func write(to path: String, isWhole: Bool, anew: Bool) throws {
        let stored = FileManager.default.fileExists(atPath: path) ? try Self.read(path) : []
        let today = Date().formatted(.iso8601.year().month().day())
        var measured = rows.map { row in
            row.measured(on: today, Machine.name, after: stored.first(where: row.isSame), anew: anew)
        }
        var kept: [Row] = []
        for old in stored {
            if !isWhole, let place = measured.firstIndex(where: old.isSame) {
                kept.append(measured.remove(at: place))
            } else if !isWhole || !rows.contains(where: { $0.part == old.part }) {
                kept.append(old)
            }
        }
        for row in measured {
            let last = kept.lastIndex { $0.part == row.part }
            kept.insert(row, at: last.map { $0 + 1 } ?? kept.endIndex)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = Self.notFinite.encoding
        let lines = try kept.map { String(decoding: try encoder.encode($0), as: UTF8.self) }
        let text = "[\n" + lines.joined(separator: ",\n") + "\n]\n"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
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
            "| part | what | ours | theirs | unit | ratio | noise | aim | | on | runs | before |",
            "|---|---|---:|---:|---|---:|---|---|---|---|---:|---|",
        ]
        let lines = try read(path).map { row in
            let cells = (cells(row) + [row.date ?? "", "\(row.runs?.count ?? 1)", before(row)]).map {
                $0.replacingOccurrences(of: "|", with: "\\|").replacingOccurrences(of: "<=", with: "≤")
                    .replacingOccurrences(of: ">=", with: "≥")
            }
            return "| " + cells.joined(separator: " | ") + " |"
        }
        return (head + lines).joined(separator: "\n")
    }

    /// What the row said before, and whether that is further from now than the noise.
    private static func before(_ row: Row) -> String {
        guard let previous = row.previous, let figure = previous.ratio ?? previous.ours else { return "" }
        let text = previous.ratio == nil ? number(figure) : ratio(figure)
        return text + (previous.date.map { " on \($0)" } ?? "") + (row.isOfAnotherMachine ? ", elsewhere" : "")
            + (row.agreement == .apart ? ", apart" : row.agreement == .outside ? ", outside" : "")
    }
}
