import Crypto
import FederationCrypto
import FederationModel

/// The two servers of every target, with fixed keys.
struct Subjects: Sendable {
    static let time = Timestamp(seconds: 1_800_000_000)
    static let alphaID = ServerID(unchecked: "alpha")
    static let betaID = ServerID(unchecked: "beta")

    let alpha: ServerIdentity
    let beta: ServerIdentity
    /// Alpha's key once more, for signing what ``ServerIdentity`` refuses to sign.
    let alphaKey: Curve25519.Signing.PrivateKey

    /// nil when the cryptographic library does not work.
    static let shared = try? Subjects()

    private init() throws {
        let seeds = (alpha: [UInt8](repeating: 1, count: 32), beta: [UInt8](repeating: 2, count: 32))
        alpha = try ServerIdentity(id: Self.alphaID, seed: seeds.alpha)
        beta = try ServerIdentity(id: Self.betaID, seed: seeds.beta)
        alphaKey = try Curve25519.Signing.PrivateKey(rawRepresentation: seeds.alpha)
    }

    /// The subjects; throws when there are none, so that no target passes without having run.
    static func required() throws(Violation) -> Subjects {
        guard let shared else { throw Violation("the cryptographic library does not work") }
        return shared
    }

    static func entropy(_ number: UInt8) -> HandshakeEntropy {
        HandshakeEntropy(
            x25519: [UInt8](repeating: number, count: 32), mlkem: [UInt8](repeating: number, count: 64))
    }
}

/// What a seed cannot be made from.
struct MissingSeed: Error {}

/// The value, or an error that names no seed.
func present<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw MissingSeed() }
    return value
}
