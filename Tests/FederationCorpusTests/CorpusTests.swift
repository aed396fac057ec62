import Foundation
import Testing

/// Every input that a search has kept, those that once broke something among them, and every seed. The search itself is
/// in `Fuzz`.
struct CorpusTests {
    /// The names of the targets: types have none that a test could print.
    static let names = Targets.all.map { $0.name }

    static func corpus(_ name: String) throws -> [(name: String, bytes: [UInt8])] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fuzz/corpus/\(name)")
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { file in
            (file, Array(try Data(contentsOf: folder.appending(path: file))))
        }
    }

    @Test("Every kept input leaves every property standing", arguments: names)
    func replay(_ name: String) throws {
        let target = try #require(Targets.named(name))
        let inputs = try Self.corpus(name)
        try #require(!inputs.isEmpty, "there is no corpus for \(name)")
        for input in inputs {
            do {
                _ = try target.run(input.bytes)
            } catch {
                Issue.record("\(name)/\(input.name): \(error)")
            }
        }
    }

    @Test("Every seed is accepted, so the search begins behind the first check", arguments: names)
    func seeds(_ name: String) throws {
        let target = try #require(Targets.named(name))
        let seeds = try target.seeds()
        try #require(!seeds.isEmpty)
        for (index, seed) in seeds.enumerated() {
            #expect(try target.run(seed), "seed \(index) of \(name)")
        }
    }

    @Test("The corpus reaches what is accepted and what is refused", arguments: names)
    func bothAnswers(_ name: String) throws {
        let target = try #require(Targets.named(name))
        let answers = try Self.corpus(name).map { try target.run($0.bytes) }
        #expect(answers.contains(true) && answers.contains(false))
    }

    @Test("The committed corpus belongs to targets and stays under a megabyte")
    func corpusIsSmall() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fuzz/corpus")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == Self.names.sorted())
        let sizes = try Self.names.flatMap { try Self.corpus($0).map(\.bytes.count) }
        #expect(sizes.reduce(0, +) < 1 << 20)
    }
}
