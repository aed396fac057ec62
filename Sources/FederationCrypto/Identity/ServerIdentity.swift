import Crypto
public import FederationModel

/// A server's id and the private keys that prove it. The keys never leave: signing and agreeing are methods, nothing
/// returns key bytes, and neither printing nor dumping shows them. A class, so that there is one copy of them.
public final class ServerIdentity: Sendable {
    public let id: ServerID
    /// The Ed25519 key that other servers bind to the id.
    public let publicKey: PublicKey
    /// The long-lived X25519 key that enters every handshake beside the ephemeral ones. Signed there, never published.
    let exchangeKey: [UInt8]
    /// The header of each kind of statement that this key signs, in base64url: it is the same in every one of them.
    let statementHeaders: [SignatureUse: String]

    private let signingKey: Curve25519.Signing.PrivateKey
    private let agreementKey: Curve25519.KeyAgreement.PrivateKey

    /// Why an identity cannot be made or used.
    public enum Failure: Error, Hashable, Sendable {
        /// The seed has another length than 32 bytes, or is all zeros.
        case invalidSeed
        /// What was to be signed is not a signing input of that statement.
        case notAStatement(SignatureUse)
        /// The cryptographic library refused.
        case unavailable
    }

    /// The length of a seed in bytes.
    public static let seedBytes = 32

    /// The identity whose Ed25519 private key is `seed` (RFC 8032 §5.1.5). The X25519 key is derived from it with
    /// HKDF under a label of its own. Callers overwrite their copy of the seed.
    public init(id: ServerID, seed: [UInt8]) throws(Failure) {
        guard seed.count == Self.seedBytes, seed.contains(where: { $0 != 0 }) else { throw .invalidSeed }
        let secret = SymmetricKey(data: seed)
        let exchangeSeed = deriveKey(from: secret, label: Label.identityExchange, count: X25519.keyBytes)
        do {
            signingKey = try Curve25519.Signing.PrivateKey(rawRepresentation: secret)
            agreementKey = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: exchangeSeed)
        } catch {
            throw .unavailable
        }
        guard let publicKey = PublicKey(bytes: Array(signingKey.publicKey.rawRepresentation)) else {
            throw .unavailable
        }
        self.id = id
        self.publicKey = publicKey
        exchangeKey = Array(agreementKey.publicKey.rawRepresentation)
        let uses = SignatureUse.allCases.filter(\.isStatement)
        statementHeaders = Dictionary(
            uniqueKeysWithValues: uses.map { ($0, CompactJWS.header($0, key: publicKey)) })
    }

    /// The Ed25519 signature over `message`, 64 bytes, bound to `use` as ``SignatureUse`` says. For a statement
    /// `message` is the JWS signing input and must carry that statement's header.
    public func sign(_ message: [UInt8], for use: SignatureUse) throws(Failure) -> [UInt8] {
        guard let bytes = use.signedBytes(message) else { throw .notAStatement(use) }
        return try signature(over: bytes)
    }

    /// The Ed25519 signature over bytes that say themselves what they are signed for, as ``SignatureUse`` makes them.
    func signature(over bytes: [UInt8]) throws(Failure) -> [UInt8] {
        do {
            return Array(try signingKey.signature(for: bytes))
        } catch {
            throw .unavailable
        }
    }

    /// X25519 between the identity's exchange key and `peer`; nil when the result is all zeros.
    func agree(with peer: [UInt8]) -> SymmetricKey? {
        X25519.agree(agreementKey, with: peer)
    }
}

extension ServerIdentity: CustomStringConvertible, CustomReflectable {
    public var description: String { "\(id) \(publicKey.fingerprint)" }

    public var customMirror: Mirror { Mirror(self, children: ["id": id, "publicKey": publicKey]) }
}
