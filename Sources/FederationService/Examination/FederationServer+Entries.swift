import FederationCore
import FederationCrypto
import FederationModel

/// What the registries that this server uses say of a server.
extension FederationServer {
    /// How each registry lists this server.
    func ownEntries(by examiner: any ExaminationLink) async -> [Finding] {
        var findings: [Finding] = []
        for source in sources() {
            let listing = await listing(of: id, key: node.identity.publicKey, at: source, by: examiner)
            findings.append(Self.ownFinding(listing, source, node.configuration.endpoint))
        }
        return findings
    }

    private static func ownFinding(_ listing: Listing, _ source: RegistrySource, _ endpoint: Endpoint) -> Finding {
        switch listing {
        case .wrong(let finding):
            return finding
        case .notListed:
            let reason = source.lastError.map { ": \($0.reason)" } ?? ""
            return .wrong(
                check, "registry.notListed", "\(source.address) does not list this server\(reason)",
                source.lastError?.remedy ?? "wait a minute: this server registers itself")
        case .suspended:
            return .wrong(
                check, "registry.suspended", "\(source.address) has suspended this server", "ask its operator why")
        case .formerKey:
            return .warning(
                check, "registry.formerKey", "\(source.address) lists this server with its former key",
                source.lastError?.remedy ?? "wait a minute: this server registers its new card")
        case .listed(let listed) where listed != endpoint:
            return .warning(
                check, "registry.otherEndpoint", "\(source.address) lists another endpoint of this server",
                source.lastError?.remedy ?? "wait a minute: this server registers itself")
        case .listed:
            return .ok(check, "\(source.address) lists this server with its key")
        }
    }

    /// How each registry lists another server. That one does not matters only where the server is trusted because of it; and a
    /// registry that does not answer is not the server's fault.
    func entries(
        of server: ServerID, _ standing: ServerStanding, by examiner: any ExaminationLink
    ) async -> [Finding] {
        var findings: [Finding] = []
        for source in sources() {
            let listing = await listing(of: server, key: standing.key, at: source, by: examiner)
            if let finding = Self.finding(listing, source, server, standing) { findings.append(finding) }
        }
        return findings
    }

    private static func finding(
        _ listing: Listing, _ source: RegistrySource, _ server: ServerID, _ standing: ServerStanding
    ) -> Finding? {
        switch listing {
        case .wrong(let finding):
            return finding.code == "registry.otherKey" ? finding : finding.asked(.warning)
        case .notListed:
            guard standing.trust == .registry(source.address) else { return nil }
            return .wrong(
                check, "registry.notListed", "\(source.address), for which \(server) is trusted, does not list it",
                "ask its operator whether it has left that registry")
        case .suspended:
            return .warning(
                check, "registry.suspended", "\(source.address) has suspended \(server)", "ask its operator why")
        case .formerKey:
            return .warning(
                check, "registry.formerKey", "\(source.address) lists \(server) with its former key",
                "wait a minute: a server that has rotated its key registers itself anew")
        case .listed(let listed) where standing.entry.map { $0.endpoint != listed } ?? false:
            return .warning(
                check, "registry.otherEndpoint", "\(source.address) lists another endpoint of \(server)",
                "wait a minute: a server that moves registers itself anew")
        case .listed:
            return .ok(check, "\(source.address) lists \(server) with its key")
        }
    }

    // MARK: One entry

    private static let check = "registry"

    /// How a registry lists a server.
    private enum Listing {
        /// With the key that is known, and at this endpoint.
        case listed(Endpoint)
        /// With a key that the server has rotated away from.
        case formerKey
        case notListed
        case suspended
        case wrong(Finding)
    }

    private func listing(
        of server: ServerID, key: PublicKey, at source: RegistrySource, by examiner: any ExaminationLink
    ) async -> Listing {
        guard !source.isFaulty else {
            return .wrong(
                .wrong(
                    Self.check, "registry.faulty",
                    "\(source.address) has signed two different logs of one size",
                    "see aether registry audit \(source.address), and tell others"))
        }
        let entry: JSONValue
        do {
            entry = try JSONValue.parse(
                try await examiner.listing(of: server, at: source.address, denied: node.policy.deniedAddresses))
        } catch let refusal as Refusal where refusal.code == "server.unknown" {
            return .notListed
        } catch let refusal as Refusal {
            return .wrong(Finding(Self.check, refusal))
        } catch {
            return .wrong(
                .wrong(
                    Self.check, "registry.unreadable", "\(source.address) answers with something else than a server",
                    "check the address; it may be another kind of server"))
        }
        // Only what the server itself has signed speaks for its key and endpoint; the rest are the registry's own words.
        guard let card = Self.card(in: entry), card.id == server else {
            return .wrong(
                .wrong(
                    Self.check, "registry.unsigned", "\(source.address) lists \(server) without a card of its own",
                    "ask its operator; believe nothing that only a registry says"))
        }
        guard card.publicKey == key else {
            if node.hasLeftBehind(card.publicKey, of: server) { return .formerKey }
            return .wrong(
                .wrong(
                    Self.check, "registry.otherKey", "\(source.address) lists \(server) with another key",
                    server == id
                        ? "ask its operator; if the id belongs to somebody else, choose another"
                        : "compare fingerprints with the operator of \(server); see aether registry audit"))
        }
        guard entry["status"]?.text != "suspended" else { return .suspended }
        return .listed(card.endpoint)
    }

    /// The card in an entry; one that has expired still tells what its server has signed.
    private static func card(in entry: JSONValue) -> ServerCard? {
        guard let card = entry["card"], let header = card["protected"]?.text, let payload = card["payload"]?.text,
            let signature = card["signature"]?.text
        else { return nil }
        return try? ServerCard.verifySignature("\(header).\(payload).\(signature)")
    }
}
