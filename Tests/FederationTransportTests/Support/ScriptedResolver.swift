import FederationModel
import FederationTransport
import Synchronization

/// Names as the test says: each lookup takes the next answer, and the last one stays.
final class ScriptedResolver: NameResolver {
    private let answers: Mutex<[String: [[String]]]>
    private let lookups = Mutex<[String]>([])

    init(_ answers: [String: [[String]]]) {
        self.answers = Mutex(answers)
    }

    var asked: [String] { lookups.withLock { $0 } }

    func addresses(of host: Host) async throws(NameResolutionFailure) -> [NetworkAddress] {
        lookups.withLock { $0.append(host.name) }
        let answer = answers.withLock { answers -> [String]? in
            guard let all = answers[host.name], let first = all.first else { return nil }
            if all.count > 1 { answers[host.name]?.removeFirst() }
            return first
        }
        guard let answer else { throw NameResolutionFailure("no such name") }
        return answer.compactMap { NetworkAddress($0) }
    }
}

/// A name server that never answers.
struct SilentResolver: NameResolver {
    func addresses(of host: Host) async throws(NameResolutionFailure) -> [NetworkAddress] {
        // Nothing ever comes out of it; the iteration ends when the fetch cancels it.
        let (silence, continuation) = AsyncStream.makeStream(of: Void.self)
        for await _ in silence {}
        continuation.finish()
        throw NameResolutionFailure("nobody answered")
    }
}
