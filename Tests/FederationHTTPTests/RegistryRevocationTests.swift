import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import ServiceTestKit
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Revocations in a registry's log", .timeLimit(.minutes(2 * patience)))
struct RegistryRevocationTests {
    /// What else a page of the log says of the server whose keys are revoked in it.
    enum Page: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case alone = "nothing else"
        case before = "something before"
        case after = "something after"

        var testDescription: String { rawValue }
    }

    @Test(
        "reach whoever reads the registry, in whatever entry they stand",
        arguments: RegistryLogEntry.Kind.allCases, Page.allCases)
    func everyKind(_ kind: RegistryLogEntry.Kind, _ page: Page) async throws {
        try await TestServer.run { alpha async throws in
            let recovery = try Stranger.identity("beta", "recovery")
            var beta = try Stranger("beta")
            beta.commitment.recovery = recovery.publicKey.commitment
            let registry = try ScriptedRegistry([])
            registry.change { [beta] in $0.listed = [beta] }
            let client = RegistryClient(
                server: alpha.server, addresses: [ScriptedRegistry.address], link: registry, clock: alpha.clock)
            try #require(await client.round(ScriptedRegistry.address))
            #expect(await alpha.server.binding(of: beta.id)?.key == beta.keys.publicKey)
            let second = try Stranger.identity("beta", "second").publicKey
            let revocation = KeyRevocation(
                issuer: beta.id, number: 1, replacement: .init(key: second, commitment: beta.commitment),
                issuedAt: ManualClock.start
            ).issue(by: recovery)
            func entry(_ kind: RegistryLogEntry.Kind, key: PublicKey, proof: [String] = []) -> RegistryLogEntry {
                RegistryLogEntry(
                    kind, server: beta.id, key: key, commitment: beta.commitment, sequence: beta.sequence, card: nil,
                    proof: proof, time: ManualClock.start)
            }
            let revoking = entry(kind, key: second, proof: [revocation])
            switch page {
            case .alone: try registry.write([revoking])
            case .before: try registry.write([entry(.deregistered, key: beta.keys.publicKey), revoking])
            case .after: try registry.write([revoking, entry(.deregistered, key: second)])
            }
            alpha.clock.advance(by: .seconds(30))
            #expect(await client.round(ScriptedRegistry.address))
            let binding = try #require(await alpha.server.binding(of: beta.id))
            #expect(binding.key == second && binding.revocation == 1)
        }
    }
}
