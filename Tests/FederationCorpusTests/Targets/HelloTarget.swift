import FederationModel

@testable import FederationCrypto

/// Hello, the first message of the handshake.
public enum HelloTarget: FuzzTarget {
    public static let name = "hello"

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        var isAccepted = false
        for versions in [ProtocolVersions.current, ProtocolVersions(minimum: 2, maximum: 5)].compactMap({ $0 }) {
            let hello: HandshakeChallenge
            do {
                hello = try HandshakeChallenge.decode(input, versions: versions)
            } catch {
                continue
            }
            isAccepted = true
            try check(hello, input, versions)
        }
        return isAccepted
    }

    private static func check(
        _ hello: HandshakeChallenge, _ input: [UInt8], _ versions: ProtocolVersions
    ) throws(Violation) {
        let encoded = hello.encoded()
        try require(input.starts(with: encoded), "a Hello that is encoded in another way")
        if hello.versions.maximum <= versions.maximum {
            try require(input.count == encoded.count, "bytes follow the last field")
        }
        try require(input.count <= Limits.handshakeMessageBytes, "a Hello of \(input.count) bytes")
        try require(hello.versions.highestInCommon(with: versions) != nil, "no version in common")
        try require((1...Limits.suites).contains(hello.suites.count), "\(hello.suites.count) suites")
        try require(Set(hello.suites).count == hello.suites.count, "a suite that is offered twice")
        try require(hello.ephemeralKey.count == 32, "an ephemeral key of \(hello.ephemeralKey.count) bytes")
        try require([0, 1_184].contains(hello.encapsulationKey.count), "an encapsulation key of another size")
        try require(ServerID(rawValue: hello.server.rawValue) == hello.server, "a server id out of its grammar")
    }

    public static func seeds() throws -> [[UInt8]] {
        let subjects = try Subjects.required()
        var seeds: [[UInt8]] = []
        for (peer, suites) in [
            (nil, CipherSuite.standard), (Subjects.betaID, [.classicalAES256GCM]),
            (Subjects.betaID, CipherSuite.allCases),
        ] {
            let handshake = try Handshake(
                identity: subjects.alpha, expecting: peer, configuration: HandshakeConfiguration(suites: suites),
                entropy: Subjects.entropy(1), at: Subjects.time)
            seeds.append(handshake.helloMessage)
        }
        var later = seeds[1]
        later[2] = 9
        return seeds + [later + [1, 2, 3]]
    }
}
