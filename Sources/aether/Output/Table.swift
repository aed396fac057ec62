/// Columns that fit into 80 characters; the last one may run on.
struct Table {
    let header: [String]
    var rows: [[String]] = []
    /// What stands below a row, by the row's index.
    private var notes: [Int: String] = [:]

    init(_ header: String...) {
        self.header = header
    }

    mutating func add(_ row: String...) {
        rows.append(row)
    }

    /// Puts a line of details below the row that was added last.
    mutating func note(_ text: String) {
        notes[rows.count - 1] = text
    }

    /// The lines of the table: a header and a row for each entry, or one sentence when it is empty.
    func lines(empty: String) -> [String] {
        guard !rows.isEmpty else { return [empty] }
        let widths = header.indices.map { column in
            ([header] + rows).map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return ([header] + rows).enumerated().flatMap { index, row in
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            let line = cells.joined(separator: "  ")
            guard index > 0 else { return [Terminal.styled(line, .bold)] }
            return [line] + (notes[index - 1].map { ["    " + $0] } ?? [])
        }
    }

    func show(empty: String) {
        for line in lines(empty: empty) { Terminal.say(line) }
    }
}

/// Sizes as people write them.
func humanSize(_ bytes: Int64) -> String {
    if bytes < 1_000 { return "\(bytes) B" }
    var value = Double(bytes)
    for unit in ["kB", "MB", "GB"] {
        value /= 1_000
        if value < 1_000 || unit == "GB" {
            let tenths = (value * 10).rounded() / 10
            return "\(tenths) \(unit)"
        }
    }
    return "\(bytes) B"
}
