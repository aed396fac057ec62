import FederationCore
import FederationCrypto
import FederationModel
import Testing

/// Somebody who knows nothing but what a registry has logged.
enum LogReader {
    /// What such a reader comes to, who must find nothing wrong.
    static func audit(_ registry: TestNode, at now: Now) throws -> RegistryAudit {
        var audit = RegistryAudit(
            registry: registry.id,
            binding: KeyBinding(server: registry.id, key: registry.identity.publicKey, since: now.timestamp))
        for record in registry.store.log {
            let findings = audit.take(try JSONValue.parse(record.leaf), at: record.index)
            #expect(findings.isEmpty)
        }
        return audit
    }
}
