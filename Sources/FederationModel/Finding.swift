/// One thing that an examination has looked at, and what it found.
public struct Finding: Hashable, Sendable {
    /// How it stands.
    public enum Status: String, Hashable, Comparable, Sendable, CaseIterable {
        /// As it should be.
        case ok
        /// It works, or cannot be told; somebody should look.
        case warning
        /// Something does not work because of this.
        case wrong

        public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

        private var rank: Int {
            switch self {
            case .ok: 0
            case .warning: 1
            case .wrong: 2
            }
        }
    }

    /// What was looked at, as a code: `dns`, `clock`, `there.trust`; see ``Refusal/isCode(_:)``.
    public let check: String
    public let status: Status
    /// The cause for programs, as ``Refusal/code``; `ok` where nothing is the matter.
    public let code: String
    /// One line: what was found and why.
    public let found: String
    /// One line: what to do about it; nil where there is nothing to do.
    public let remedy: String?

    public init(_ check: String, _ status: Status, code: String, _ found: String, remedy: String?) {
        assert(Refusal.isCode(check) && Refusal.isCode(code), "'\(check)' or '\(code)' is not a code")
        self.check = check
        self.status = status
        self.code = code
        self.found = found
        self.remedy = remedy
    }

    public static func ok(_ check: String, _ found: String) -> Finding {
        Finding(check, .ok, code: "ok", found, remedy: nil)
    }

    public static func warning(_ check: String, _ code: String, _ found: String, _ remedy: String) -> Finding {
        Finding(check, .warning, code: code, found, remedy: remedy)
    }

    public static func wrong(_ check: String, _ code: String, _ found: String, _ remedy: String) -> Finding {
        Finding(check, .wrong, code: code, found, remedy: remedy)
    }

    /// What a refusal says, as a finding.
    public init(_ check: String, _ refusal: Refusal, _ status: Status = .wrong) {
        self.init(check, status, code: refusal.code, refusal.reason, remedy: refusal.remedy)
    }

    /// The same, less severe or more.
    public func asked(_ status: Status) -> Finding {
        Finding(check, status, code: code, found, remedy: remedy)
    }

    /// Whether `text` may come from another server as part of a finding: one line for a terminal, 1 to
    /// ``Limits/findingTextBytes`` bytes.
    public static func isText(_ text: String) -> Bool {
        (1...Limits.findingTextBytes).contains(text.utf8.count) && text.unicodeScalars.allSatisfy(\.isPrintable)
    }

    /// `text` as it may go to another server: cut to its bound, and without what no terminal should see.
    public static func text(_ text: String) -> String {
        var kept = ""
        for scalar in text.unicodeScalars {
            let shown = scalar.isPrintable ? Character(scalar) : " "
            guard kept.utf8.count + String(shown).utf8.count <= Limits.findingTextBytes else { break }
            kept.append(shown)
        }
        return kept.isEmpty ? "–" : kept
    }
}

/// What an examination of one server found, in the order in which things follow from one another.
public struct Examination: Hashable, Sendable {
    public let server: ServerID
    public var findings: [Finding]

    public init(of server: ServerID, _ findings: [Finding] = []) {
        self.server = server
        self.findings = findings
    }

    public var isWrong: Bool { findings.contains { $0.status == .wrong } }

    /// The first of the worst: what to look at before anything else.
    public var worst: Finding? {
        let status = findings.map(\.status).max()
        return findings.first { $0.status == status }
    }
}
