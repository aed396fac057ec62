import FederationModel
import Foundation

/// What an examination found, as a person or a program reads it.
struct FindingReport {
    struct Line: Sendable {
        /// Whom it is about; nil while not even that is known.
        let server: String?
        let finding: Finding

        init(_ server: String?, _ finding: Finding) {
            self.server = server
            self.finding = finding
        }

        /// As the server's API tells it; nil for what this program does not understand.
        init?(_ server: String, _ fields: JSONText.Fields) {
            guard let check = fields["check"].string, let code = fields["code"].string, Refusal.isCode(check),
                Refusal.isCode(code), let status = fields["status"].string.flatMap(Finding.Status.init(rawValue:))
            else { return nil }
            self.server = server
            finding = Finding(
                check, status, code: code, oneLine(fields["found"].text()),
                remedy: fields["remedy"].string.map(oneLine))
        }

        fileprivate var members: [String: Any] {
            var members: [String: Any] = [
                "check": finding.check, "status": finding.status.rawValue, "code": finding.code,
                "found": finding.found,
            ]
            members["server"] = server
            members["remedy"] = finding.remedy
            return members
        }
    }

    let json: Bool
    private var lines: [Line] = []

    init(json: Bool) {
        self.json = json
    }

    var isWrong: Bool { lines.contains { $0.finding.status == .wrong } }

    mutating func add(_ findings: [Finding], of server: String?) {
        lines += findings.map { Line(server, $0) }
    }

    mutating func add(_ lines: [Line]) {
        self.lines += lines
    }

    /// A server that others reach does not stand wrong because it does not reach itself: many routers lead nobody back in.
    mutating func forgiveWayIn() {
        lines = lines.map { line in
            guard ["tcp", "upgrade"].contains(line.finding.check), line.finding.status == .wrong else { return line }
            return Line(line.server, line.finding.asked(.warning))
        }
    }

    func show() {
        guard !json else {
            return Terminal.say(jsonLine(["ok": !isWrong, "findings": lines.map(\.members)]))
        }
        let width = lines.map(\.finding.check.count).max() ?? 0
        var server: String?
        for (index, line) in lines.enumerated() {
            if index == 0 || line.server != server {
                Terminal.say(Terminal.styled(line.server ?? "this server", .bold))
            }
            server = line.server
            Terminal.say(Self.text(line.finding, width))
        }
        let counts = Finding.Status.allCases.map { status in lines.count { $0.finding.status == status } }
        Terminal.say(
            counts[2] > 0
                ? "\(counts[2]) wrong, \(counts[1]) to look at, \(counts[0]) ok."
                : counts[1] > 0
                    ? "Nothing is wrong; \(counts[1]) to look at, \(counts[0]) ok." : "All \(counts[0]) are ok.")
    }

    private static func text(_ finding: Finding, _ width: Int) -> String {
        let style: Terminal.Style =
            switch finding.status {
            case .ok: .green
            case .warning: .yellow
            case .wrong: .red
            }
        let mark = Terminal.styled(finding.status.rawValue.padded(to: 7), style)
        let line = "  \(mark)  \(finding.check.padded(to: width))  \(finding.found)"
        guard finding.status != .ok else { return line }
        return line + (finding.remedy.map { " — \($0)" } ?? "") + " [\(finding.code)]"
    }
}
