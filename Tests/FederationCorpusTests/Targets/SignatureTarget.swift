import FederationModel

@testable import FederationCrypto

/// Signature, the second message of the handshake, alone.
public enum SignatureTarget: FuzzTarget {
    public static let name = "signature"

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        var isAccepted = false
        for suite in [CipherSuite.hybridAES256GCM, .classicalChaCha20Poly1305] {
            let response: HandshakeResponse
            do {
                response = try HandshakeResponse.decode(input, suite: suite)
            } catch {
                continue
            }
            try require(!isAccepted, "one message is a Signature of two suites")
            isAccepted = true
            try require(response.encoded() == input, "a Signature that is encoded in another way")
            try require(response.ciphertext.isEmpty != suite.isHybrid, "a ciphertext out of place")
            try require(response.signature.count == 64, "a signature of \(response.signature.count) bytes")
            try require(response.signingKey.isAcceptable, "an unusable key")
        }
        return isAccepted
    }

    public static func seeds() throws -> [[UInt8]] {
        let subjects = try Subjects.required()
        return try [CipherSuite.hybridAES256GCM, .classicalChaCha20Poly1305].map { suite in
            let configuration = HandshakeConfiguration(suites: [suite], encapsulation: FixedEncapsulation.strategy)
            let alpha = try Handshake(
                identity: subjects.alpha, expecting: nil, configuration: configuration, entropy: Subjects.entropy(1),
                at: Subjects.time)
            var beta = try Handshake(
                identity: subjects.beta, expecting: nil, configuration: configuration, entropy: Subjects.entropy(2),
                at: Subjects.time)
            return try beta.receive(hello: alpha.helloMessage, at: Subjects.time)
        }
    }
}
