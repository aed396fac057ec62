import FederationModel
import Testing

@testable import FederationCrypto

extension HandshakeAttackTests {
    // MARK: A relay makes both speak something weaker

    /// What a relay puts into both Hellos.
    enum Weakening: CaseIterable {
        case suite
        case version

        func applied(to hello: WeakenedHandshake.Hello) throws -> WeakenedHandshake.Hello {
            var hello = hello
            switch self {
            case .suite:
                hello.suites = [.classicalAES256GCM]
                hello.encapsulationKey = []
            case .version: hello.versions = try #require(ProtocolVersions(minimum: 1, maximum: 1))
            }
            return hello
        }

        func applied(to hello: HandshakeChallenge) throws -> HandshakeChallenge {
            let version1 = try #require(ProtocolVersions(minimum: 1, maximum: 1))
            return HandshakeChallenge(
                versions: self == .version ? version1 : hello.versions, server: hello.server,
                expectedPeer: hello.expectedPeer, sentAt: hello.sentAt,
                suites: self == .suite ? [CipherSuite.classicalAES256GCM.rawValue] : hello.suites,
                ephemeralKey: hello.ephemeralKey, encapsulationKey: self == .suite ? [] : hello.encapsulationKey)
        }
    }

    @Test("a relay that weakens both Hellos breaks both signatures", arguments: Weakening.allCases)
    func downgrade(weakening: Weakening) throws {
        let suites: [CipherSuite] = [.hybridAES256GCM, .classicalAES256GCM]
        let versions = try #require(ProtocolVersions(minimum: 1, maximum: 2))
        var first = try Sample.handshake(alpha, suites: suites, versions: versions, entropy: 1)
        var second = try Sample.handshake(beta, suites: suites, versions: versions, entropy: 2)
        func weakened(_ bytes: [UInt8]) throws -> [UInt8] {
            try weakening.applied(to: try HandshakeChallenge.decode(bytes, versions: versions)).encoded()
        }
        let one = try first.receive(hello: try weakened(second.helloMessage), at: Sample.time)
        let other = try second.receive(hello: try weakened(first.helloMessage), at: Sample.time)
        for failure in [
            failure({ () throws(Handshake.Failure) in _ = try first.receive(signature: other) }),
            failure({ () throws(Handshake.Failure) in _ = try second.receive(signature: one) }),
        ] {
            #expect(failure == .invalidSignature && failure?.closeCode == .invalidSignature)
        }
    }

    /// Both ends of a weakened handshake, each of which gets the other's Hello as a relay leaves it.
    private func completeWeakened(
        _ relay: (WeakenedHandshake.Hello) throws -> WeakenedHandshake.Hello
    ) throws -> (WeakenedHandshake.Channel?, WeakenedHandshake.Channel?) {
        let suites: [CipherSuite] = [.hybridAES256GCM, .classicalAES256GCM]
        let versions = try #require(ProtocolVersions(minimum: 1, maximum: 2))
        var first = WeakenedHandshake.OfferingSide(
            try WeakenedHandshake.Side(1, ephemeral: 11), suites: suites, versions: versions)
        var second = WeakenedHandshake.OfferingSide(
            try WeakenedHandshake.Side(2, ephemeral: 12), suites: suites, versions: versions)
        let one = try first.receive(hello: try relay(second.hello))
        let other = try second.receive(hello: try relay(first.hello))
        return (try first.receive(other), try second.receive(one))
    }

    @Test(
        "with only ephemeral keys signed, both speak what the relay likes, and notice nothing",
        arguments: Weakening.allCases)
    func downgradeWeakened(weakening: Weakening) throws {
        let honest = try completeWeakened { $0 }
        let best = try #require(honest.0)
        #expect(honest.1 == best && best.suite == .hybridAES256GCM && best.version == 2)

        let relayed = try completeWeakened { try weakening.applied(to: $0) }
        let channel = try #require(relayed.0)
        #expect(relayed.1 == channel)
        #expect(channel.suite == (weakening == .suite ? .classicalAES256GCM : .hybridAES256GCM))
        #expect(channel.version == (weakening == .version ? 1 : 2))
        let record = try WeakenedHandshake.seal([1], counter: 0, key: channel.key)
        #expect(try WeakenedHandshake.open(record, key: try #require(relayed.1).key) == [1])
    }

    @Test("a relay cannot make a side speak a version or a suite that it does not offer")
    func downgradeBelow() throws {
        let versions = try #require(ProtocolVersions(minimum: 2, maximum: 2))
        let version1 = try #require(ProtocolVersions(minimum: 1, maximum: 1))
        var strict = try Sample.handshake(alpha, versions: versions, entropy: 1)
        let old = try Sample.handshake(beta, versions: version1, entropy: 2)
        let version = failure { () throws(Handshake.Failure) in
            _ = try strict.receive(hello: old.helloMessage, at: Sample.time)
        }
        #expect(version == .incompatibleVersion(version1) && version?.closeCode == .incompatibleVersion)
        var hybrid = try Sample.handshake(alpha, entropy: 1)
        let classical = try Sample.handshake(beta, suites: [.classicalAES256GCM], entropy: 2)
        let suite = failure { () throws(Handshake.Failure) in
            _ = try hybrid.receive(hello: classical.helloMessage, at: Sample.time)
        }
        #expect(suite == .noCommonSuite && suite?.closeCode == .noCommonSuite)
    }

    // MARK: A clock is hours off

    @Test("a peer whose clock is hours off is told so", arguments: [-86_400, -3 * 3_600, 3 * 3_600, 86_400])
    func clockHoursOff(seconds: Int64) throws {
        let offset = Duration.seconds(seconds)
        var machine = try Sample.handshake(alpha, entropy: 1)
        let peer = try Sample.handshake(beta, entropy: 2, at: Sample.time + offset)
        let failure = failure { () throws(Handshake.Failure) in
            _ = try machine.receive(hello: peer.helloMessage, at: Sample.time)
        }
        #expect(failure == .clockSkew(offset) && failure?.closeCode == .clockSkew)
        // Without the bound the same Hello is taken: yesterday's recording would be one, too.
        var lax = try Handshake(
            identity: alpha, expecting: nil, configuration: HandshakeConfiguration(clockSkew: .seconds(172_800)),
            entropy: Sample.entropy(1), at: Sample.time)
        #expect(throws: Never.self) { try lax.receive(hello: peer.helloMessage, at: Sample.time) }
    }
}
