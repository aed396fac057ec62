import FederationModel
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestKit
import Testing

@testable import FederationTransport

/// When root certificates are read, and that what is believed does not depend on it.
@Suite("Root certificates", .timeLimit(.minutes(1 * patience)))
struct PeerTLSTests {
    private func configuration(_ tls: PeerTLS) -> GuardedFetcher.Configuration {
        var configuration = GuardedFetcher.Configuration()
        configuration.policy = AddressPolicy(allowsPrivate: true)
        configuration.timeLimit = .seconds(20 * patience)
        configuration.tls = tls
        return configuration
    }

    private func request(_ port: Int, secure: Bool) throws -> FetchRequest {
        .card(of: try #require(Endpoint("\(secure ? "wss" : "ws")://127.0.0.1:\(port)")))
    }

    @Test("the system's are read by the first connection over TLS, once for all that dials, and are what counts there")
    func system() async throws {
        let tls = PeerTLS()
        let fetcher = try GuardedFetcher(configuration: configuration(tls), resolver: ScriptedResolver([:]))
        _ = try GuardedExaminer(configuration: configuration(tls))
        var dialling = WebSocketPeerTransport.Configuration()
        dialling.tls = tls
        _ = try WebSocketPeerTransport(host: try TestHost("near"), configuration: dialling)
        let clear = try await ScriptedServer.start { _ in .full(.ok, body: "a.b.c") }
        #expect(try await fetcher.fetch(request(clear.port, secure: false)).status == 200)
        #expect(!tls.isRead)
        try await clear.stop()

        let secure = try await ScriptedServer.start(tls: TestCertificate.serverContext()) { _ in .full(.ok) }
        await #expect(throws: FetchFailure.tls(.untrusted)) {
            try await fetcher.fetch(request(secure.port, secure: true))
        }
        #expect(tls.isRead && secure.asked.isEmpty)
        try await secure.stop()
    }

    @Test("copies share one context, and one that is changed has its own")
    func copies() throws {
        let tls = PeerTLS(trustRoots: .certificates([try TestCertificate.certificate()]))
        var copy = tls
        let shared = try tls.context()
        #expect(try copy.context() === shared)
        copy.verifiesCertificates = false
        #expect(try copy.context() !== shared)
        copy = tls
        copy.trustRoots = .default
        #expect(!copy.isRead)
        copy = tls
        #expect(try copy.context() === shared)
    }

    @Test(
        "those that are named are read before anything is dialled, and refused when there are none",
        arguments: [nil, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    func named(_ content: String?) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "roots-\(UUID().uuidString).pem")
        if let content { try Data(content.utf8).write(to: file) }
        defer { try? FileManager.default.removeItem(at: file) }
        let tls = PeerTLS(trustRoots: .file(file.path))
        #expect(throws: PeerTLS.Unusable.self) {
            _ = try GuardedFetcher(configuration: configuration(tls), resolver: ScriptedResolver([:]))
        }
        #expect(throws: PeerTLS.Unusable.self) { _ = try GuardedExaminer(configuration: configuration(tls)) }
        let host = try TestHost("near")
        var dialling = WebSocketPeerTransport.Configuration()
        dialling.tls = tls
        #expect(throws: PeerTLS.Unusable.self) {
            _ = try WebSocketPeerTransport(host: host, configuration: dialling)
        }
        // What is mended is read by the next one.
        try Data(TestCertificate.pem.utf8).write(to: file)
        _ = try WebSocketPeerTransport(host: host, configuration: dialling)
        #expect(tls.isRead)
    }

    @Test("without any that can be read nothing is asked over TLS, and that is what is said")
    func unusable() async throws {
        let server = try await ScriptedServer.start(tls: TestCertificate.serverContext()) { _ in .full(.ok) }
        let tls = PeerTLS(trustRoots: .file("/nowhere.pem"))
        let here = try #require(NetworkAddress("127.0.0.1"))
        let group = MultiThreadedEventLoopGroup.singleton
        let request = try request(server.port, secure: true)
        do throws(FetchFailure) {
            _ = try await FetchExchange(with: request.origin, group: group, tls: tls)
            Issue.record("roots were found")
        } catch {
            guard case .noRoots(let reason) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(reason.contains("cannot be read"), "\(reason)")
        }
        let probe = EndpointProbe(
            resolver: ScriptedResolver([:]), group: group, tls: tls, timeLimit: .seconds(20 * patience))
        let findings = await probe.run(request.origin, at: here, policy: nil)
        #expect(findings.map { "\($0.check) \($0.code)" } == ["dns ok", "tls tls.failed"])
        #expect(server.asked.isEmpty)
        try await server.stop()
    }

    @Test(
        "strangers are told so too, before anything is known of an address",
        arguments: ["wss://gone.test", "wss://127.0.0.1", "wss://10.0.0.1:7700"])
    func told(_ address: String) async throws {
        var configuration = configuration(PeerTLS(trustRoots: .file("/nowhere.pem")))
        configuration.policy = .publicOnly
        let reasons = Mutex<[String]>([])
        let fetcher = GuardedFetcher(
            unprepared: configuration, resolver: ScriptedResolver([:]), group: MultiThreadedEventLoopGroup.singleton)
        let cards = GuardedCards(fetcher) { _, refusal in reasons.withLock { $0.append(refusal.reason) } }
        let endpoint = try #require(Endpoint(address))
        do throws(Refusal) {
            _ = try await cards.card(at: endpoint, forStrangerIn: nil, denied: [])
            Issue.record("\(endpoint) has a card")
        } catch {
            #expect(error.code == "tls.failed" && error.kind == .unavailable && !error.reason.contains("nowhere"))
        }
        let told = reasons.withLock { $0 }
        #expect(told.count == 1 && told.first?.contains("cannot be read") == true, "\(told)")
    }
}
