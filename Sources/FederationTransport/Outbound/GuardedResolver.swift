import FederationModel
import NIOCore
import Synchronization

/// Turns a host into addresses that may be turned to. The connection must go to one of these and the name must not be
/// looked up again: a name server that answers differently the second time would lead past the check (DNS rebinding).
struct GuardedResolver: Sendable {
    enum Failure: Error, Hashable, Sendable {
        /// No such name, no address, no answer.
        case unresolved(String)
        case timedOut
        /// The policy forbids one of the addresses.
        case refused(Refusal)
    }

    /// Addresses that are tried one after another; all that a name has are checked.
    static let maximumTried = 4

    let resolver: any NameResolver
    let eventLoop: any EventLoop

    /// - Parameters:
    ///   - policy: nil where an operator chose the host by hand.
    ///   - deadline: a lookup itself cannot be stopped; nobody waits for it longer.
    func addresses(
        of host: Host, policy: AddressPolicy?, by deadline: NIODeadline
    ) async throws(Failure) -> [NetworkAddress] {
        let addresses: [NetworkAddress]
        if let literal = host.address {
            addresses = [literal]
        } else {
            addresses = try await lookUp(host, by: deadline).get()
        }
        guard !addresses.isEmpty else { throw .unresolved("\(host) has no address") }
        do {
            try policy?.check(addresses, of: host)
        } catch {
            throw .refused(error)
        }
        return Array(addresses.prefix(Self.maximumTried))
    }

    private func lookUp(_ host: Host, by deadline: NIODeadline) async -> Result<[NetworkAddress], Failure> {
        let resolver = resolver
        return await withCheckedContinuation { continuation in
            let first = FirstAnswer(continuation)
            let timer = eventLoop.scheduleTask(deadline: deadline) { first.give(.failure(.timedOut)) }
            Task {
                do throws(NameResolutionFailure) {
                    first.give(.success(try await resolver.addresses(of: host)))
                } catch {
                    first.give(.failure(.unresolved("\(host): \(error)")))
                }
                timer.cancel()
            }
        }
    }
}

/// Resumes with the first of several answers.
private final class FirstAnswer<Answer: Sendable>: Sendable {
    private let continuation: Mutex<CheckedContinuation<Answer, Never>?>

    init(_ continuation: CheckedContinuation<Answer, Never>) {
        self.continuation = Mutex(continuation)
    }

    func give(_ answer: sending Answer) {
        let waiting = continuation.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?.resume(returning: answer)
    }
}
