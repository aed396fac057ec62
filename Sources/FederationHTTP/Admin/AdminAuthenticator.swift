import FederationCrypto
public import FederationModel
import HTTPTypes
import Synchronization

/// Checks the operator's key. It holds the SHA-256 of the key and never the key; a caller shows the key as
/// `Authorization: Bearer <key>` (RFC 6750 §2.1).
///
/// After ``AttemptLimiter/allowed`` wrong keys within a minute an address has to wait before it may show another one.
/// The right key is let in all the same: behind a proxy strangers have the operator's address, and could keep them out.
/// So each guess gets an answer, which helps nobody: 256 bits of chance are not found however many are tried, and the
/// comparison tells no two wrong keys apart. What the limit bounds is the warnings in the log.
public final class AdminAuthenticator: Sendable {
    private let hash: [UInt8]
    private let attempts = Mutex(AttemptLimiter())

    /// - Parameter keyHash: the SHA-256 of the key's UTF-8 bytes.
    public init(keyHash: ContentHash) {
        hash = keyHash.bytes
    }

    /// What is kept of a key.
    public static func hash(of key: String) -> ContentHash {
        ContentHash.of(Array(key.utf8))
    }

    enum Verdict: Hashable, Sendable {
        case granted
        /// No key was shown.
        case missing
        case wrong
        /// Too many wrong keys came from this address.
        case limited(seconds: Int)
    }

    func check(_ headers: HTTPFields, from remote: RemoteAddress, at now: Instant) -> Verdict {
        let fields = headers[values: .authorization]
        guard !fields.isEmpty else { return .missing }
        if fields.count == 1, let key = Self.bearer(fields[0]), isKey(key) { return .granted }
        return attempts.withLock { attempts in
            if let wait = attempts.wait(for: remote.network, at: now) { return .limited(seconds: wait) }
            attempts.recordFailure(of: remote.network, at: now)
            return .wrong
        }
    }

    /// Compares hashes, and all of their bytes: neither the length nor the beginning of a wrong key shows in the time.
    private func isKey(_ key: Substring) -> Bool {
        let offered = ContentHash.of(Array(key.utf8)).bytes
        return zip(offered, hash).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private static func bearer(_ field: String) -> Substring? {
        let parts = field.utf8.split(separator: UInt8(ascii: " "), maxSplits: 1)
        guard parts.count == 2, Substring(parts[0]).lowercased() == "bearer" else { return nil }
        return Substring(parts[1])
    }
}

extension AdminAuthenticator.Verdict {
    /// nil when the caller may go on.
    var problem: Problem? {
        switch self {
        case .granted:
            return nil
        case .missing:
            return Self.unauthorized(
                "admin.keyMissing", "this needs the admin key", "Bearer realm=\"aether\"")
        case .wrong:
            return Self.unauthorized(
                "admin.keyWrong", "the admin key is wrong", "Bearer realm=\"aether\", error=\"invalid_token\"")
        case .limited(let seconds):
            var problem = Problem(
                .tooManyRequests, code: "admin.tooManyAttempts", "too many wrong admin keys came from your address",
                remedy: "wait \(seconds) s, then use the right key")
            problem.headers[.retryAfter] = String(seconds)
            return problem
        }
    }

    private static func unauthorized(_ code: String, _ detail: String, _ challenge: String) -> Problem {
        var problem = Problem(
            .unauthorized, code: code, detail,
            remedy: "send Authorization: Bearer with the key that aether init made")
        problem.headers[.wwwAuthenticate] = challenge
        return problem
    }
}
