import Crypto

@testable import FederationCrypto

extension WeakenedHandshake {
    /// What a side offers, and its fresh keys. No transcript: only the X25519 key is signed later.
    struct Hello {
        var suites: [CipherSuite]
        var versions: ProtocolVersions
        let ephemeral: [UInt8]
        var encapsulationKey: [UInt8]
    }

    /// What both ends believe when they are done.
    struct Channel: Equatable {
        let suite: CipherSuite
        let version: UInt16
        let key: SymmetricKey
    }

    /// A side that offers suites and versions, and speaks the best that both Hellos list as they arrived.
    struct OfferingSide {
        struct NothingInCommon: Error {}

        private struct Agreed {
            let peer: Hello
            let suite: CipherSuite
            let version: UInt16
            /// What this side encapsulated; nil in a classical suite.
            let secret: SymmetricKey?
        }

        let side: Side
        let hello: Hello
        private var agreed: Agreed?

        init(_ side: Side, suites: [CipherSuite], versions: ProtocolVersions) {
            self.side = side
            hello = Hello(
                suites: suites, versions: versions, ephemeral: side.ephemeral,
                encapsulationKey: Array(side.decapsulation.publicKey.rawRepresentation))
        }

        private func isLow(_ peer: Hello) -> Bool {
            hello.ephemeral.lexicographicallyPrecedes(peer.ephemeral)
        }

        /// Takes the peer's Hello and returns the signed message to send.
        mutating func receive(hello peer: Hello) throws -> Message {
            let (low, high) = isLow(peer) ? (hello, peer) : (peer, hello)
            guard let version = hello.versions.highestInCommon(with: peer.versions),
                let suite = CipherSuite.agreed(low: low.suites.map(\.rawValue), high: high.suites.map(\.rawValue))
            else { throw NothingInCommon() }
            var message = try side.message(to: peer.ephemeral)
            var secret: SymmetricKey?
            if suite.isHybrid {
                let result = try MLKEM768.PublicKey(rawRepresentation: peer.encapsulationKey).encapsulate()
                message.ciphertext = Array(result.encapsulated)
                secret = result.sharedSecret
            }
            agreed = Agreed(peer: peer, suite: suite, version: version, secret: secret)
            return message
        }

        /// nil when the signature does not verify, or when no Hello came before.
        func receive(_ message: Message) throws -> Channel? {
            guard let agreed else { return nil }
            let peer = agreed.peer.ephemeral
            let key = try Curve25519.Signing.PublicKey(rawRepresentation: message.signingKey)
            guard key.isValidSignature(message.signature, for: WeakenedHandshake.ordered(side.ephemeral, peer)) else {
                return nil
            }
            var encapsulated: SymmetricKey?
            if let own = agreed.secret {
                let secrets = [own, try side.decapsulation.decapsulate(message.ciphertext)]
                let ordered = isLow(agreed.peer) ? secrets : secrets.reversed()
                encapsulated = SymmetricKey(data: ordered.flatMap { $0.withUnsafeBytes { Array($0) } })
            }
            return Channel(
                suite: agreed.suite, version: agreed.version,
                key: try WeakenedHandshake.key(
                    side.exchange, message.exchangeKey, side.ephemeral, peer, encapsulated: encapsulated))
        }
    }
}
