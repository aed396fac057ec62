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
        line(
            row.part, row.name, number(row.ours), row.theirs.map(number) ?? "", row.unit, row.ratio.map(ratio) ?? "",
            row.spread.map { "\(ratio($0[0]))–\(ratio($0[1]))" } ?? "", row.aim ?? "",
            row.met.map { $0 ? "met" : "not met" } ?? "")
    }

    private static func line(
        _ part: String, _ name: String, _ ours: String, _ theirs: String, _ unit: String, _ ratio: String,
        _ spread: String, _ aim: String, _ met: String
    ) -> String {
        let columns = [
            pad(part, 10), pad(name, 46), pad(ours, 11, left: false), pad(theirs, 11, left: false), pad(unit, 5),
            pad(ratio, 6, left: false), pad(spread, 12, left: false), pad(aim, 8), met,
        ]
        return columns.joined(separator: " ")
    }

    private static func pad(_ text: String, _ width: Int, left: Bool = true) -> String {
        let space = String(repeating: " ", count: max(0, width - text.count))
        return left ? text + space : space + text
    }

    private static func number(_ value: Double) -> String {
        String(format: value < 100 ? "%.1f" : "%.0f", value)
    }

    private static func ratio(_ value: Double) -> String { String(format: "%.2f", value) }

    /// Puts the rows of the parts that were measured into the file, beside those of the others.
    func write(to path: String) throws {
        let url = URL(fileURLWithPath: path)
        var all: [Row] = []
        if let old = try? JSONDecoder().decode([Row].self, from: Data(contentsOf: url)) {
            let measured = Set(rows.map(\.part))
            all = old.filter { !measured.contains($0.part) }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let lines = try (all + rows).map { String(decoding: try encoder.encode($0), as: UTF8.self) }
        try Data(("[\n" + lines.joined(separator: ",\n") + "\n]\n").utf8).write(to: url)
    }
}
