import Foundation
import Testing

/// THREAT_MODEL.md and SECURITY.md name tests and models as proof. Each of them must be there: a proof that was renamed away
/// proves nothing.
@Suite("The threat model's proofs")
struct ThreatModelTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
        .standardizedFileURL

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// What follows each `marker`, up to the end of the quotation that begins there.
    private static func quoted(after marker: String, in source: String) -> [String] {
        source.components(separatedBy: marker).dropFirst().compactMap { rest in
            let rest = rest.drop { $0.isWhitespace }
            guard rest.first == "\"" else { return nil }
            return String(rest.dropFirst().prefix { $0 != "\"" })
        }
    }

    /// The names of the tests, the types that hold them, and what `Models/check` runs.
    private struct Proofs {
        var names: Set<String> = []
        var types: Set<String> = []
        let models: String

        init() throws {
            models = try ThreatModelTests.text("Models/check")
            let folder = ThreatModelTests.root.appending(path: "Tests")
            types = Set(try FileManager.default.contentsOfDirectory(atPath: folder.path))
            let paths = FileManager.default.enumerator(atPath: folder.path)
            while let path = paths?.nextObject() as? String {
                guard path.hasSuffix(".swift") else { continue }
                let source = try ThreatModelTests.text("Tests/\(path)")
                names.formUnion(ThreatModelTests.quoted(after: "@Test(", in: source))
                for line in source.split(separator: "\n") {
                    let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
                    guard let keyword = words.firstIndex(of: "struct") ?? words.firstIndex(of: "class"),
                        keyword + 1 < words.count
                    else { continue }
                    types.insert(String(words[keyword + 1]))
                }
            }
        }

        /// A name that ends with an ellipsis stands for every name that begins so.
        func hold(_ citation: String) -> Bool {
            let name = citation.hasSuffix("…") ? citation.dropLast().trimmingCharacters(in: .whitespaces) : citation
            let isTest = name == citation ? names.contains(name) : names.contains { $0.hasPrefix(name) }
            return isTest || models.contains(name)
        }
    }

    /// What stands between single asterisks in the last column of the tables.
    private static func citations(_ document: String) -> [String] {
        document.split(separator: "\n").filter { $0.hasPrefix("|") }.flatMap { row -> [String] in
            guard let cell = row.split(separator: "|").last else { return [] }
            let parts = cell.replacing("**", with: "").split(separator: "*", omittingEmptySubsequences: false)
            return parts.enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
        }
    }

    /// What stands between backquotes and is called like a suite or a target of tests.
    private static func suites(_ document: String) -> [String] {
        let parts = document.split(separator: "`", omittingEmptySubsequences: false)
        return parts.enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }.filter {
            $0.hasSuffix("Tests") && $0.allSatisfy { $0.isLetter || $0.isNumber }
        }
    }

    @Test("every test and model that the threat model names in its tables is there")
    func names() throws {
        let proofs = try Proofs()
        let citations = Self.citations(try Self.text("THREAT_MODEL.md"))
        #expect(citations.count >= 15)
        for citation in citations {
            let holds = proofs.hold(citation)
            #expect(holds, "THREAT_MODEL.md names \"\(citation)\", which is neither a test nor a line of Models/check")
        }
        // And what is not there is missed.
        #expect(!proofs.hold("a relay that takes the strong suite out of both Hellos breaks both signatures"))
        #expect(!proofs.hold("a relay that weakens both Hellos"))
        #expect(proofs.hold("a relay that weakens both Hellos …"))
    }

    @Test("every suite that the documents name is there", arguments: ["THREAT_MODEL.md", "SECURITY.md"])
    func suites(document: String) throws {
        let proofs = try Proofs()
        let suites = Self.suites(try Self.text(document))
        for suite in suites { #expect(proofs.types.contains(suite), "\(document) names \(suite)") }
        if document == "THREAT_MODEL.md" { #expect(suites.count >= 20) }
    }
}
