import FederationCrypto
import FederationModel

@testable import FederationCore

/// One server's keys, one after the other, its recovery key, and what it says with them.
struct KeyLine {
    static let id = ServerID(unchecked: "beta")
    static let start = HandoffSamples.now.timestamp

    /// The key of this number; numbers from 100 on are recovery keys.
    static func identity(_ number: UInt8, of id: ServerID = id) throws -> ServerIdentity {
        try ServerIdentity(id: id, seed: [UInt8](repeating: number, count: 32))
    }

    static func hash(_ number: UInt8?) throws -> ContentHash? {
        try number.map { try identity($0).publicKey.commitment }
    }

    static func rotation(_ from: UInt8, _ to: UInt8, next: UInt8?) throws -> String {
        KeyRotation(issuer: id, to: try identity(to).publicKey, next: try hash(next), issuedAt: start)
            .issue(by: try identity(from))
    }

    static func revocation(
        by recovery: UInt8 = 100, number: UInt64 = 1, to: UInt8?, next: UInt8? = nil, recovery renewed: UInt8? = nil
    ) throws -> String {
        let replacement = try to.map {
            KeyRevocation.Replacement(
                key: try identity($0).publicKey,
                commitment: KeyCommitment(next: try hash(next), recovery: try hash(renewed)))
        }
        return KeyRevocation(issuer: id, number: number, replacement: replacement, issuedAt: start)
            .issue(by: try identity(recovery))
    }

    static func compact(
        _ key: UInt8, next: UInt8?, recovery: UInt8? = 100, rotations: [String] = [], revocation: String? = nil,
        sequence: UInt64 = 1, endpoint: String = "ws://beta.example"
    ) throws -> String {
        let identity = try identity(key)
        return ServerCard(
            id: id, name: "Beta", endpoint: TableSamples.endpoint(endpoint), publicKey: identity.publicKey,
            commitment: KeyCommitment(next: try hash(next), recovery: try hash(recovery)), rotations: rotations,
            revocation: revocation, sequence: sequence, worlds: [], issued: start,
            expires: start + .seconds(1_000_000)
        ).issue(by: identity)
    }

    static func card(
        _ key: UInt8, next: UInt8?, recovery: UInt8? = 100, rotations: [String] = [], revocation: String? = nil
    ) throws -> ServerCard {
        try ServerCard.verify(
            try compact(key, next: next, recovery: recovery, rotations: rotations, revocation: revocation), at: start)
    }

    /// Key 1 with the next key 2 and the recovery key 100.
    static func binding() throws -> KeyBinding {
        try KeyBinding(first: try card(1, next: 2), at: start)
    }
}
