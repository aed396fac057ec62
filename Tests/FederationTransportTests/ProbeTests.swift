import FederationModel
import FederationService
import NIOCore
import NIOPosix
import NIOSSL
import TestKit
import Testing

@testable import FederationTransport

@Suite("Probing an endpoint, stage by stage", .timeLimit(.minutes(5 * patience)))
struct ProbeTests {
    private func examiner(
        _ resolver: any NameResolver = ScriptedResolver([:]), allowsPrivate: Bool = false,
        stageLimit: Duration = .seconds(60 * patience)
    ) throws -> GuardedExaminer {
        var configuration = GuardedFetcher.Configuration()
        configuration.policy = AddressPolicy(allowsPrivate: allowsPrivate)
        configuration.timeLimit = .seconds(60 * patience)
        configuration.tls.trustRoots = .certificates([try TestCertificate.certificate()])
        return try GuardedExaminer(
            configuration: configuration, stageLimit: stageLimit, resolver: resolver)
    }

    private func endpoint(_ host: String, _ port: Int, secure: Bool = false) throws -> Endpoint {
        try #require(Endpoint("\(secure ? "wss" : "ws")://\(host):\(port)"))
    }

    private func reach(_ isOperatorsChoice: Bool, denied: [AddressRange] = []) -> ExaminationReach {
        ExaminationReach(isOperatorsChoice: isOperatorsChoice, denied: denied)
    }

    private func codes(_ findings: [Finding]) -> [String] { findings.map { "\($0.check) \($0.code)" } }

    @Test("a name that leads to a private address is no way round the policy, unless an operator has chosen it")
    func guarded() async throws {
        let server = try await ScriptedServer.start { _ in .full(.ok) }
        let resolver = ScriptedResolver(["beta.test": [["127.0.0.1"]]])
        let examiner = try examiner(resolver)
        let place = try endpoint("beta.test", server.port)
        #expect(codes(await examiner.probe(place, within: reach(false))) == ["dns address.refused"])
        for secure in [false, true] {
            let literal = try endpoint("127.0.0.1", server.port, secure: secure)
            #expect(codes(await examiner.probe(literal, within: reach(false))) == ["dns address.refused"])
            await #expect(throws: Refusal.self) { try await examiner.card(at: literal, within: reach(false)) }
            await #expect(throws: Refusal.self) {
                try await examiner.ask("a.b.c", at: literal, within: reach(false))
            }
        }
        #expect(server.asked.isEmpty)
        #expect(
            codes(await examiner.probe(place, within: reach(true))) == [
                "dns ok", "tcp ok", "upgrade upgrade.refused",
            ])
        #expect(server.asked.map(\.uri) == ["/federation"])
        #expect(server.asked.first?.headers["Host"] == ["beta.test:\(server.port)"])
        try await server.stop()
    }

    @Test("a certificate that is not believed may be so by this machine's clock, and the finding says so")
    func clock() async throws {
        let server = try await ScriptedServer.start(tls: TestCertificate.serverContext()) { _ in .full(.ok) }
        let probe = EndpointProbe(
            resolver: ScriptedResolver([:]), group: MultiThreadedEventLoopGroup.singleton, tls: PeerTLS(),
            timeLimit: .seconds(20 * patience))
        let findings = await probe.run(try endpoint("127.0.0.1", server.port, secure: true), policy: nil)
        #expect(codes(findings) == ["dns ok", "tcp ok", "tls tls.untrusted"])
        #expect(findings.last?.found.contains("not valid yet") == true)
        #expect(findings.last?.remedy?.contains("clock") == true)
        try await server.stop()
    }

    @Test("a registry may be anywhere but at a denied address")
    func registry() async throws {
        let server = try await ScriptedServer.start { _ in .full(.ok, body: "{}") }
        let examiner = try examiner()
        let (id, address) = (ServerID(unchecked: "beta"), "http://127.0.0.1:\(server.port)")
        let denied = [try #require(AddressRange("127.0.0.0/8"))]
        do throws(Refusal) {
            _ = try await examiner.listing(of: id, at: address, denied: denied)
            Issue.record("it was asked")
        } catch {
            #expect(error.code == "address.denied")
        }
        #expect(server.asked.isEmpty)
        #expect(try await examiner.listing(of: id, at: address, denied: []) == Array("{}".utf8))
        #expect(server.asked.map(\.uri) == ["/v1/servers/beta"])
        try await server.stop()
    }

    @Test("trying back goes to the address that has shown the card, though the name leads elsewhere the second time")
    func rebinding() async throws {
        let own = try await ScriptedServer.start(host: "127.0.7.51") { _ in .full(.ok, body: "a.b.c") }
        let victim = try await ScriptedServer.start(host: "127.0.7.52", port: own.port) { _ in .full(.ok) }
        let resolver = ScriptedResolver(["beta.test": [["127.0.7.51"], ["127.0.7.52"]]])
        let examiner = try examiner(resolver, allowsPrivate: true)
        let place = try endpoint("beta.test", own.port)
        let reach = ExaminationReach(isOperatorsChoice: false, denied: [], isProvoked: true)
        let served = try await examiner.card(at: place, within: reach)
        #expect(served.compact == "a.b.c" && served.address == NetworkAddress("127.0.7.51"))
        let found = await examiner.probe(place, at: served.address, within: reach)
        #expect(codes(found) == ["dns ok", "tcp ok", "upgrade upgrade.refused"])
        #expect(own.asked.map(\.uri) == ["/.well-known/aether-federation", "/federation"])
        #expect(victim.asked.isEmpty && resolver.asked == ["beta.test"])
        // The address is judged all the same.
        let strict = try self.examiner(resolver)
        #expect(codes(await strict.probe(place, at: served.address, within: reach)) == ["dns address.refused"])
        #expect(own.asked.count == 2)
        try await own.stop()
        try await victim.stop()
    }

    @Test("trying back follows no redirect: what answers behind one is not at the peer's address")
    func redirected() async throws {
        let behind = try await ScriptedServer.start(host: "127.0.7.53") { _ in .full(.ok, body: "a.b.c") }
        let target = "http://127.0.7.53:\(behind.port)/.well-known/aether-federation"
        let server = try await ScriptedServer.start(host: "127.0.7.54") { _ in .full(.found, ["Location": target]) }
        let examiner = try examiner(allowsPrivate: true)
        let place = try endpoint("127.0.7.54", server.port)
        await #expect(throws: Refusal.self) {
            try await examiner.card(
                at: place, within: ExaminationReach(isOperatorsChoice: false, denied: [], isProvoked: true))
        }
        #expect(behind.asked.isEmpty)
        // The operator's own look may be led on.
        #expect(try await examiner.card(at: place, within: reach(false)).compact == "a.b.c")
        try await server.stop()
        try await behind.stop()
    }

    @Test("cards and probes on the word of others count together, and an operator's do not")
    func budget() async throws {
        let server = try await ScriptedServer.start(host: "127.0.7.55") { _ in .full(.ok, body: "a.b.c") }
        let examiner = try examiner(allowsPrivate: true)
        let place = try endpoint("127.0.7.55", server.port)
        let provoked = ExaminationReach(isOperatorsChoice: false, denied: [], isProvoked: true)
        for _ in 0..<GuardedExaminer.provokedPerAddress / 2 {
            let served = try await examiner.card(at: place, within: provoked)
            let found = await examiner.probe(place, at: served.address, within: provoked)
            #expect(codes(found).last == "upgrade upgrade.refused")
        }
        let asked = server.asked.count
        do throws(Refusal) {
            _ = try await examiner.card(at: place, within: provoked)
            Issue.record("it was asked")
        } catch {
            #expect(error.code == "fetch.busy")
        }
        let address = try #require(NetworkAddress("127.0.7.55"))
        #expect(codes(await examiner.probe(place, at: address, within: provoked)) == ["endpoint inquiry.busy"])
        #expect(server.asked.count == asked)
        let chosen = ExaminationReach(isOperatorsChoice: true, denied: [], isProvoked: true)
        #expect(try await examiner.card(at: place, within: chosen).compact == "a.b.c")
        try await server.stop()
    }

    @Test("where the deny list names the address nobody is asked, also when an operator has chosen the server")
    func denied() async throws {
        let server = try await ScriptedServer.start { _ in .full(.ok) }
        let examiner = try examiner(ScriptedResolver(["beta.test": [["127.0.0.1"]]]), allowsPrivate: true)
        let denied = [try #require(AddressRange("127.0.0.0/8"))]
        for host in ["beta.test", "127.0.0.1"] {
            let place = try endpoint(host, server.port)
            for isChoice in [true, false] {
                let reach = reach(isChoice, denied: denied)
                #expect(codes(await examiner.probe(place, within: reach)) == ["dns address.denied"])
                await #expect(throws: Refusal.self) { try await examiner.card(at: place, within: reach) }
                await #expect(throws: Refusal.self) { try await examiner.ask("a.b.c", at: place, within: reach) }
            }
        }
        #expect(server.asked.isEmpty)
        try await server.stop()
    }

    @Test("names that are not known, or that nobody answers for, end the probe")
    func names() async throws {
        let place = try endpoint("nobody.test", 7_700)
        #expect(codes(await (try examiner()).probe(place, within: reach(true))) == ["dns dns.unresolved"])
        let silent = try examiner(SilentResolver(), stageLimit: .seconds(1))
        #expect(codes(await silent.probe(place, within: reach(true))) == ["dns dns.timedOut"])
    }

    @Test("TLS is a stage of its own: the right name passes it, another one does not")
    func tls() async throws {
        // The certificate is for localhost, and for 127.0.0.1 itself.
        let server = try await ScriptedServer.start(host: "127.0.7.14", tls: TestCertificate.serverContext()) { _ in
            .full(.notFound)
        }
        let resolver = ScriptedResolver(["localhost": [["127.0.7.14"]], "beta.test": [["127.0.7.14"]]])
        let examiner = try examiner(resolver)
        #expect(
            codes(await examiner.probe(try endpoint("localhost", server.port, secure: true), within: reach(true)))
                == ["dns ok", "tcp ok", "tls ok", "upgrade upgrade.refused"])
        #expect(
            codes(await examiner.probe(try endpoint("beta.test", server.port, secure: true), within: reach(true)))
                == ["dns ok", "tcp ok", "tls tls.otherName"])
        #expect(
            codes(await examiner.probe(try endpoint("localhost", server.port), within: reach(true))).last
                == "upgrade upgrade.broken")
        try await server.stop()
    }

    @Test("what refuses an inquiry in words of its own is one that takes none; codes of inquiries are passed on")
    func refusals() async throws {
        for (status, body, code) in [
            (404, "nothing", "inquiry.notTaken"), (403, #"{"code":"admin.keyMissing"}"#, "inquiry.notTaken"),
            (403, #"{"code":"inquiry.unknown","detail":"a\u001b[2Jb","remedy":"c"}"#, "inquiry.unknown"),
            (200, "a.b.c\n", nil),
        ] as [(Int, String, String?)] {
            let server = try await ScriptedServer.start { _ in .full(.init(statusCode: status), body: body) }
            let place = try endpoint("127.0.0.1", server.port)
            let examiner = try examiner()
            do throws(Refusal) {
                let answer = try await examiner.ask("x.y.z", at: place, within: reach(true))
                #expect(answer == "a.b.c" && code == nil)
            } catch {
                #expect(error.code == code && !error.reason.contains("\u{1B}"), "\(error)")
            }
            let head = server.asked.first
            #expect(head?.method == .POST && head?.uri == "/v1/inquiries")
            #expect(
                head?.headers["Content-Type"] == ["application/jose"] && head?.headers["Authorization"].isEmpty == true)
            try await server.stop()
        }
    }
}
