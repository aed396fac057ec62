import Crypto
import FederationCrypto
import FederationModel

/// A whole handshake in memory, both sides, against the sum of what its cryptography costs in any protocol.
struct HandshakePart {
    static let name = "handshake"
    private static let handshakes = 60

    private let low: ServerIdentity
    private let high: ServerIdentity
    private let now = Timestamp(seconds: 1_800_000_000)

    init() throws {
        low = try ServerIdentity(id: ServerID(unchecked: "alpha"), seed: [UInt8](repeating: 1, count: 32))
        high = try ServerIdentity(id: ServerID(unchecked: "beta"), seed: [UInt8](repeating: 2, count: 32))
    }

    func run(_ table: inout ResultTable) throws {
        for suite in CipherSuite.allCases {
            let configuration = HandshakeConfiguration(suites: [suite])
            let comparison = try Comparison(operations: Self.handshakes) {
                for _ in 0..<Self.handshakes { try handshake(configuration) }
            } theirs: {
                for _ in 0..<Self.handshakes {
                    // Of both sides.
                    for _ in 0..<2 { try primitives(isHybrid: suite.isHybrid) }
                }
            }
            table.add(Row(Self.name, "in memory, \(suite.name), the floor", comparison, atMost: 1.25))
        }
    }

    private func handshake(_ configuration: HandshakeConfiguration) throws {
        var one = try Handshake(
            identity: low, expecting: high.id, configuration: configuration,
            entropy: HandshakeEntropy(drawing: Self.random), at: now)
        var other = try Handshake(
            identity: high, expecting: nil, configuration: configuration,
            entropy: HandshakeEntropy(drawing: Self.random),
            at: now)
        let signature = try one.receive(hello: other.helloMessage, at: now)
        let answer = try other.receive(hello: one.helloMessage, at: now)
        _ = try one.receive(signature: answer)
        _ = try other.receive(signature: signature)
        let there = try one.complete(trusting: high.publicKey).records()
        let back = try other.complete(trusting: low.publicKey).records()
        _ = consume there
        _ = consume back
    }

    /// As a server draws it: eight bytes with each system call.
    private static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        var bytes = [UInt8](repeating: 0, count: count)
        var word: UInt64 = 0
        for index in bytes.indices {
            word = index % 8 == 0 ? generator.next() : word >> 8
            bytes[index] = UInt8(truncatingIfNeeded: word)
        }
        return bytes
    }

    /// Three or six operations on curves and lattices, whose operands are as they come.
    private func primitives(isHybrid: Bool) throws {
        let ephemeral = Curve25519.KeyAgreement.PrivateKey()
        let peer = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: Fixed.exchange.publicKey.rawRepresentation)
        keep(try ephemeral.sharedSecretFromKeyAgreement(with: peer))
        keep(try Fixed.exchange.sharedSecretFromKeyAgreement(with: peer))
        let signature = try Fixed.signing.signature(for: Fixed.message)
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: Fixed.signing.publicKey.rawRepresentation)
        keep(key.isValidSignature(signature, for: Fixed.message))
        guard isHybrid else { return }
        let decapsulation = try MLKEM768.PrivateKey()
        let encapsulated = try decapsulation.publicKey.encapsulate()
        keep(try decapsulation.decapsulate(encapsulated.encapsulated))
    }

    private enum Fixed {
        static let exchange = Curve25519.KeyAgreement.PrivateKey()
        static let signing = Curve25519.Signing.PrivateKey()
        static let message = [UInt8](repeating: 5, count: 120)
    }
}
