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

    /// The fuzzer's package holds links to these sources and is built by nobody who only tests: what it lacks is told here.
    @Test("What the fuzzer links imports only what its package gives it")
    func linksHaveTheirModules() throws {
        let package = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fuzz").standardized
        let manifest = try String(contentsOf: package.appending(path: "Package.swift"), encoding: .utf8)
        // The toolchain's own modules, and what the products Collections and Crypto consist of.
        let given: Set = [
            "HeapModule", "DequeModule", "OrderedCollections", "HashTreeCollections", "CCryptoBoringSSL", "Foundation",
            "FoundationEssentials", "Synchronization", "Glibc", "Musl", "Darwin",
        ]
        // A target's text ends where the next begins.
        let declarations = manifest.split(separator: /(?:instrumented|\.target|\.executableTarget)\(/).dropFirst()
        var files = 0
        for folder in try FileManager.default.contentsOfDirectory(atPath: package.appending(path: "Sources").path) {
            let declaration = try #require(
                declarations.first { $0.firstMatch(of: /"([\w-]+)"/)?.1 == Substring(folder) }, "no target \(folder)")
            let sources = package.appending(path: "Sources/\(folder)").resolvingSymlinksInPath()
            let enumerator = try #require(FileManager.default.enumerator(atPath: sources.path))
            for case let file as String in enumerator where file.hasSuffix(".swift") {
                files += 1
                let text = try String(contentsOf: sources.appending(path: file), encoding: .utf8)
                let imports = text.matches(of: /(?m)^\s*(?:@\w+ )*(?:public |package |internal )?import (?:\w+ )?(\w+)/)
                for module in imports.map({ String($0.1) }) where !given.contains(module) {
                    #expect(declaration.contains("\"\(module)\""), "\(folder)/\(file) imports \(module)")
                }
            }
        }
        #expect(files > 100)
    }
}
