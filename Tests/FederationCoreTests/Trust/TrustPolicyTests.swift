import FederationCrypto
import FederationModel
import Testing

@testable import FederationCore

/// Whom a policy trusts, and what a policy can say.
@Suite("TrustPolicy")
struct TrustPolicyTests {
    private static let server = ServerID(unchecked: "north.example-guild")
    private static let key = TableSamples.key(7)
    private static let endpoints = [
        TableSamples.endpoint("wss://10.1.2.3:7700"), TableSamples.endpoint("wss://play.example.org"),
    ]

    @Test("a denied address is denied in every form that leads to it, and allowed only in its own")
    func carriedAddresses() throws {
        let range = try #require(AddressRange("8.8.8.0/24"))
        let server = ServerID(unchecked: "north.guild")
        for text in [
            "ws://8.8.8.8:1", "ws://[::ffff:8.8.8.8]:1", "ws://[64:ff9b::808:808]:1", "ws://[2002:808:808::1]:1",
        ] {
            let place = try #require(Endpoint(text))
            #expect(TrustPolicy(deny: [.address(range)]).denies(server, key: nil, endpoints: [place]), "\(text)")
            let isAllowed = TrustPolicy(allow: [.address(range)]).allows(server, key: nil, endpoints: [place])
            #expect(isAllowed == !(text.contains("64:ff9b") || text.contains("2002")), "\(text)")
        }
        let other = try #require(Endpoint("ws://[64:ff9b::909:909]:1"))
        #expect(!TrustPolicy(deny: [.address(range)]).denies(server, key: nil, endpoints: [other]))
    }

    @Test(
        "a pattern means whom it says, whoever else looks like them",
        arguments: [
            ("id:*.example-guild", true), ("north.*", true), ("*", true), ("*o*.*-guild", true),
            ("id:north.example-guild", true), ("id:*.example", false), ("id:north", false),
            ("id:orth.example-guild", false),
            ("id:north.example-guild*", true), ("id:**", true), ("id:*x*", true), ("id:*xx*", false),
            ("address:10.0.0.0/8", true), ("10.1.2.3", true), ("10.1.2.0/24", true), ("address:10.2.0.0/16", false),
            ("address:2001:db8::/32", false), ("host:play.example.org", true), ("host:*.example.org", true),
            ("host:example.org", false), ("host:*.org.", false), ("host:10.1.*", true),
            ("key:\(key)", true), ("\(key)", true), ("key:\(key.fingerprint)", true), (key.fingerprint, true),
            ("key:\(TableSamples.key(8))", false), (TableSamples.key(8).fingerprint, false),
        ])
    func patterns(_ text: String, _ isMeant: Bool) throws {
        let pattern = try #require(TrustPattern(text))
        #expect(pattern.matches(Self.server, key: Self.key, endpoints: Self.endpoints) == isMeant)
        #expect(TrustPattern(pattern.description) == pattern)
    }

    @Test(
        "what is no pattern is refused",
        arguments: [
            "", "id:", "key:", "address:", "host:", "id:Alpha", "id:a b", "id:-a", "id:a..b", "id:é", "key:abcd",
            "key:abcd-efgh", "address:10.1.2.3/8", "address:10.0.0.0/33", "address:host", "host:a_b", "host:10.0.0.1",
            "host:-", "other:a", "key:\(String(repeating: "0", count: 64))",
            "key:ABCD-abcd-abcd-abcd-abcd-abcd-abcd-abcd",
            "id:\(String(repeating: "a", count: 65))", "host:\(String(repeating: "a*", count: 127))",
            "id:\(String(repeating: "*", count: 65))", " id:a", "id:a ",
        ])
    func noPattern(_ text: String) {
        #expect(TrustPattern(text) == nil)
    }

    // MARK: Decisions

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let policy: TrustPolicy
        let evidence: TrustPolicy.Evidence
        /// The source and the scopes, or the code.
        let expected: String

        init(_ description: String, _ policy: TrustPolicy, _ evidence: TrustPolicy.Evidence, _ expected: String) {
            testDescription = description
            self.policy = policy
            self.evidence = evidence
            self.expected = expected
        }
    }

    private static let x = ServerID(unchecked: "x")
    private static let y = ServerID(unchecked: "y")
    private static let everything = TrustPolicy.Evidence(
        registries: ["https://r"], introducers: [x, y], isFirstUse: true)
    private static let route: PeerScopes = [.heartbeat, .route]
    private static let two = TrustPolicy.Introduced(count: 2, scopes: .heartbeat)
    private static let denying = [TrustPattern.id("north.*")]
    private static let elsewhere = [TrustPattern.id("south.*")]

    static let cases: [Case] = [
        Case("nobody by default", TrustPolicy(), everything, "policy.noEvidence"),
        Case("a pinned one by default", TrustPolicy(), .init(pinned: .all), "pinned heartbeat,route,assets,handoff"),
        Case(
            "a pinned one with its own scopes", TrustPolicy(firstUse: .all), .init(pinned: route),
            "pinned heartbeat,route"),
        Case("deny wins over a pin", TrustPolicy(deny: denying), .init(pinned: .all), "policy.denied"),
        Case(
            "deny wins over allow", TrustPolicy(allow: denying, deny: denying, firstUse: .all), everything,
            "policy.denied"),
        Case(
            "deny wins over everything automatic",
            TrustPolicy(deny: denying, registryListed: .all, introducedBy: two, firstUse: .all), everything,
            "policy.denied"),
        Case("deny of others", TrustPolicy(deny: elsewhere, firstUse: .heartbeat), everything, "firstUse heartbeat"),
        Case("allow of others", TrustPolicy(allow: elsewhere, firstUse: .all), everything, "policy.notAllowed"),
        Case("allow is no trust", TrustPolicy(allow: denying), everything, "policy.noEvidence"),
        Case(
            "allow lets the rest through", TrustPolicy(allow: denying, firstUse: route), everything,
            "firstUse heartbeat,route"),
        Case("a pin needs no allow", TrustPolicy(allow: elsewhere), .init(pinned: .heartbeat), "pinned heartbeat"),
        Case(
            "listed", TrustPolicy(registryListed: route), .init(registries: ["b", "c"]), "registry:b heartbeat,route"),
        Case("not listed", TrustPolicy(registryListed: route), .init(introducers: [x, y]), "policy.noEvidence"),
        Case(
            "introduced by enough", TrustPolicy(introducedBy: two), .init(introducers: [x, y]),
            "introduced:x,y heartbeat"),
        Case("introduced by too few", TrustPolicy(introducedBy: two), .init(introducers: [x]), "policy.noEvidence"),
        Case(
            "introduced by more than enough", TrustPolicy(introducedBy: .init(count: 1, scopes: .heartbeat)),
            .init(introducers: [x, y]), "introduced:x heartbeat"),
        Case(
            "introduced with two keys", TrustPolicy(introducedBy: two),
            .init(introducers: [x, y], isContested: true), "policy.contested"),
        Case(
            "one that contradicts itself, whatever speaks for it",
            TrustPolicy(registryListed: .all, introducedBy: two, firstUse: .all),
            .init(registries: ["b"], introducers: [x, y], isFirstUse: true, hasEquivocated: true),
            "policy.equivocated"),
        Case(
            "a pinned one that contradicts itself", TrustPolicy(), .init(pinned: .all, hasEquivocated: true),
            "pinned heartbeat,route,assets,handoff"),
        Case(
            "listed, and introduced with two keys", TrustPolicy(registryListed: .heartbeat, introducedBy: two),
            .init(registries: ["r"], introducers: [x, y], isContested: true), "registry:r heartbeat"),
        Case("first use", TrustPolicy(firstUse: .heartbeat), .init(isFirstUse: true), "firstUse heartbeat"),
        Case("not the first", TrustPolicy(firstUse: .heartbeat), .init(), "policy.noEvidence"),
        Case(
            "all of it: the strongest reason, and what any of them gives",
            TrustPolicy(registryListed: .heartbeat, introducedBy: two, firstUse: [.heartbeat, .assets]), everything,
            "registry:https://r heartbeat,assets"),
    ]

    @Test("the policy decides", arguments: cases)
    func decisions(_ example: Case) {
        let decision = example.policy.decide(
            Self.server, key: Self.key, endpoints: Self.endpoints, evidence: example.evidence)
        switch decision {
        case .trust(let source, let scopes): #expect("\(source) \(scopes)" == example.expected)
        case .refuse(let refusal): #expect(refusal.code == example.expected)
        }
    }

    // MARK: JSON

    static let full = TrustPolicy(
        allow: [.id("*.guild"), .key(key)], deny: [.fingerprint(key.fingerprint), .host("*.example")],
        registryListed: .all, introducedBy: .init(count: 3, scopes: [.heartbeat, .handoff]), firstUse: .heartbeat,
        introduces: false)

    @Test("a policy comes back from its text", arguments: [TrustPolicy(), full])
    func text(_ policy: TrustPolicy) {
        #expect(TrustPolicy(policy.description) == policy)
    }

    @Test(
        "what may be left out is",
        arguments: [
            (#"{}"#, TrustPolicy()), (#"{"firstUse":null,"introducedBy":null}"#, TrustPolicy()),
            (#"{"registryListed":{}}"#, TrustPolicy(registryListed: .all)),
            (#"{"introducedBy":{"count":1}}"#, TrustPolicy(introducedBy: .init(count: 1, scopes: .all))),
            (
                #"{"deny":["10.0.0.0/8","address:10.0.0.0/8"],"introduces":false}"#,
                TrustPolicy(deny: [.address(AddressRange("10.0.0.0/8")!)], introduces: false)
            ),
        ])
    func defaults(_ text: String, _ expected: TrustPolicy) {
        #expect(TrustPolicy(text) == expected)
    }

    @Test(
        "a policy that is not wholly understood is refused wholly",
        arguments: [
            (#"[]"#, "policy.invalid"), (#"{"Deny":[]}"#, "policy.invalid"), (#"{"deny":"a"}"#, "policy.invalid"),
            (#"{"deny":null}"#, "policy.invalid"), (#"{"deny":["a",1]}"#, "policy.invalid"),
            (#"{"allow":["A"]}"#, "policy.invalid"), (#"{"registryListed":true}"#, "policy.invalid"),
            (#"{"registryListed":{"scope":["heartbeat"]}}"#, "policy.invalid"),
            (#"{"registryListed":{"scopes":[]}}"#, "policy.invalid"),
            (#"{"registryListed":{"scopes":"heartbeat"}}"#, "scopes.invalid"),
            (#"{"registryListed":{"scopes":["route"]}}"#, "scopes.heartbeatMissing"),
            (#"{"registryListed":{"scopes":["heartbeat","fly"]}}"#, "scopes.invalid"),
            (#"{"firstUse":{"scopes":["heartbeat","heartbeat"]}}"#, "scopes.invalid"),
            (#"{"introducedBy":{}}"#, "policy.invalid"), (#"{"introducedBy":{"count":0}}"#, "policy.invalid"),
            (#"{"introducedBy":{"count":17}}"#, "policy.invalid"),
            (#"{"introducedBy":{"count":1.5}}"#, "policy.invalid"),
            (#"{"introducedBy":{"count":"2"}}"#, "policy.invalid"), (#"{"introduces":1}"#, "policy.invalid"),
        ])
    func malformed(_ text: String, _ code: String) throws {
        let value = try JSONValue.parse(Array(text.utf8))
        #expect(throws: Refusal.self) { try TrustPolicy(json: value) }
        do {
            _ = try TrustPolicy(json: value)
        } catch {
            #expect(error.code == code)
        }
    }

    @Test("a list has a bound", arguments: [(Limits.policyPatterns, true), (Limits.policyPatterns + 1, false)])
    func bound(_ count: Int, _ isTaken: Bool) {
        let policy = TrustPolicy(deny: (0..<count).map { .id("a\($0)") })
        #expect((TrustPolicy(policy.description) == policy) == isTaken)
    }
}
