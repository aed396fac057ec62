@testable import FederationHTTP

extension Problem {
    /// What `read` gives; nil where it refuses. Throws unless every line of the refusal can be shown by a terminal and a log
    /// and is of bounded length: it repeats what a stranger wrote.
    static func accepted<Value>(_ read: () throws(Problem) -> Value) throws(Violation) -> Value? {
        let problem: Problem
        do throws(Problem) {
            return try read()
        } catch {
            problem = error
        }
        for line in [problem.code, problem.detail, problem.remedy] {
            try require(!line.isEmpty && line.utf8.count <= 512, "a line of \(line.utf8.count) bytes: \(line)")
            try require(line.unicodeScalars.allSatisfy(\.isPrintable), "a line that is not printable: \(line)")
        }
        return nil
    }
}
