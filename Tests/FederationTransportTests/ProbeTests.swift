import FederationModel
import FederationService
import NIOCore
import NIOSSL
import TestPatience
import Testing

@testable import FederationTransport

@Suite("Probing an endpoint, stage by stage", .timeLimit(.minutes(patience)))
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
