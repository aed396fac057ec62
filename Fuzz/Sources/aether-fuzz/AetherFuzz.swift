import CFuzzer
import FuzzTargets

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    @preconcurrency import Darwin
#endif

/// `aether-fuzz list`, `aether-fuzz seeds FOLDER`, `FUZZ_TARGET=name aether-fuzz [libFuzzer option or folder…]`. The target
/// stands in the environment because libFuzzer, to merge and to minimise, starts the program again with options only.
@main
enum AetherFuzz {
    /// The chosen target; libFuzzer's callback has no argument for it. Written once, before the first input.
    nonisolated(unsafe) private static var target: (any FuzzTarget.Type)?

    static func main() {
        let arguments = CommandLine.arguments
        switch arguments.dropFirst().first {
        case "list": for target in Targets.all { print(target.name) }
        case "seeds": writeSeeds(below: arguments.count > 2 ? arguments[2] : ".")
        default: fuzz(getenv("FUZZ_TARGET").map { String(cString: $0) } ?? "", Array(arguments.dropFirst()))
        }
    }

    private static func fuzz(_ name: String, _ options: [String]) {
        guard let named = Targets.named(name) else {
            let names = Targets.all.map { $0.name }.joined(separator: ", ")
            stop("'\(name)' is not a target; set FUZZ_TARGET to one of \(names)", code: 2)
        }
        target = named
        leaveCrashesToTheFuzzer()
        // libFuzzer keeps the arguments as long as the process lives.
        var arguments = ([CommandLine.arguments[0]] + options).map { strdup($0) } + [nil]
        var count = Int32(arguments.count - 1)
        let status = arguments.withUnsafeMutableBufferPointer { buffer in
            var base = buffer.baseAddress
            return withUnsafeMutablePointer(to: &base) { LLVMFuzzerRunDriver(&count, $0, runOne) }
        }
        exit(status)
    }

    /// Takes away the handlers that Swift's runtime may have set for its backtraces: libFuzzer leaves a signal alone that has
    /// one, and then the input that broke a target would be lost. It knows nothing of SIGTRAP, which is how Swift stops on
    /// some machines.
    private static func leaveCrashesToTheFuzzer() {
        for number in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV] { signal(number, SIG_DFL) }
        signal(SIGTRAP) { _ in abort() }
    }

    private static let runOne: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32 = { data, size in
        let input = Array(UnsafeBufferPointer(start: data, count: size))
        do throws(Violation) {
            _ = try AetherFuzz.target?.run(input)
        } catch {
            fputs("A property does not hold: \(error)\n", stderr)
            abort()
        }
        return 0
    }

    private static func writeSeeds(below folder: String) {
        for target in Targets.all {
            mkdir("\(folder)/\(target.name)", 0o755)
            do {
                for (index, seed) in try target.seeds().enumerated() {
                    write(seed, to: "\(folder)/\(target.name)/seed-\(index)")
                }
            } catch {
                stop("the seeds of \(target.name) cannot be made: \(error)", code: 1)
            }
        }
    }

    private static func write(_ bytes: [UInt8], to path: String) {
        guard let file = fopen(path, "wb"), fwrite(bytes, 1, bytes.count, file) == bytes.count, fclose(file) == 0
        else { stop("\(path) cannot be written", code: 1) }
    }

    private static func stop(_ reason: String, code: Int32) -> Never {
        fputs("aether-fuzz: \(reason)\n", stderr)
        exit(code)
    }
}
