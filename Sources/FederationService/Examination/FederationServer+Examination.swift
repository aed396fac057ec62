import FederationCore
import FederationCrypto
public import FederationModel

/// Looking for what is the matter: with this server, as others meet it, and with its peers.
extension FederationServer {
    // MARK: This server

    /// Examines this server from where it stands: whether its own address leads back to it, and how it stands with the registries
    /// that it uses. Changes nothing.
    public func examineSelf() async throws(Refusal) -> Examination {
        let examiner = try readyExaminer()
        let endpoint = node.configuration.endpoint
        var examination = Examination(of: id)
        examination.findings = await examiner.probe(endpoint, within: reach(true)).map { finding in
            guard finding.status == .wrong, finding.check != "dns" else { return finding }
            return Finding(
                finding.check, finding.status, code: finding.code, finding.found,
                remedy: "correct the endpoint in aether.json, or what stands between: proxy, port, firewall; where a "
                    + "router does not lead back in, see what a peer finds: aether doctor PEER")
        }
        if !examination.isWrong {
            let card: Finding
            do throws(Refusal) {
                let served = try await examiner.card(at: endpoint, within: reach(true))
                card = examine(served.compact, of: id, at: endpoint)
            } catch {
                card = Finding("card", error)
            }
            examination.findings.append(card)
        }
        if let storageFailure { examination.findings.append(Finding("store", storageFailure)) }
        examination.findings += await ownEntries(by: examiner)
        return examination
    }

    func reach(_ isOperatorsChoice: Bool, isProvoked: Bool = false) -> ExaminationReach {
        ExaminationReach(
            isOperatorsChoice: isOperatorsChoice, denied: node.policy.deniedAddresses, isProvoked: isProvoked)
    }

    /// Where to an address of a server may lead: as for a dial.
    func reach(to endpoint: Endpoint, of standing: ServerStanding) -> ExaminationReach {
        reach(standing.isChosen(endpoint))
    }

    func readyExaminer() throws(Refusal) -> any ExaminationLink {
        guard let examiner, !isStopping else {
            throw Refusal(
                .unavailable, code: "examination.unavailable", reason: "this server cannot examine anything now",
                remedy: "start it with: aether serve")
        }
        return examiner
    }

    // MARK: A peer

    /// Examines a peer from both directions: what stands between, what it shows, and what it says of this server when it is
    /// asked. Changes nothing, here or there.
    public func examine(_ server: ServerID) async throws(Refusal) -> Examination {
        let examiner = try readyExaminer()
        var examination = Examination(of: server)
        guard server != id else {
            throw Refusal(
                .conflict, code: "server.self", reason: "\(id) is this server's own id",
                remedy: "examine it with: aether doctor")
        }
        guard let standing = node.standing(of: server, at: clock.now()) else {
            examination.findings = [
                .wrong(
                    "trust", "peer.unknown", "\(server) is not known here",
                    "add it: aether peers add, with its address")
            ]
            return examination
        }
        examination.findings.append(Self.trust(standing, server))
        // Nothing is sent to whom nothing may be sent to.
        guard standing.refusal == nil else { return examination }
        guard let endpoint = await reach(server, standing, &examination, by: examiner) else {
            examination.findings += await dialFindings(server, standing)
            examination.findings += await entries(of: server, standing, by: examiner)
            return examination
        }
        examination.findings += await dialFindings(server, standing)
        examination.findings += channelFindings(server, standing)
        examination.findings += await entries(of: server, standing, by: examiner)
        examination.findings += await ask(server, standing, at: endpoint, by: examiner)
        return examination
    }

    private static func trust(_ standing: ServerStanding, _ server: ServerID) -> Finding {
        if let refusal = standing.refusal { return Finding("trust", refusal) }
        let scopes = standing.scopes == .all ? "everything" : standing.scopes.description
        let source = standing.trust?.description ?? "not a peer yet, trusted by the policy when it comes"
        return .ok("trust", "\(server) is trusted here (\(source)), with \(scopes)")
    }

    /// Tries the peer's addresses in order; the first that is the peer's ends the search.
    private func reach(
        _ server: ServerID, _ standing: ServerStanding, _ examination: inout Examination,
        by examiner: any ExaminationLink
    ) async -> Endpoint? {
        var failed: [Finding] = []
        for endpoint in standing.endpoints.prefix(Limits.examinedEndpoints) {
            let reach = reach(to: endpoint, of: standing)
            var findings = await examiner.probe(endpoint, within: reach).map { Self.moved($0, server, standing) }
            let isOpen = !findings.contains { $0.status == .wrong }
            if isOpen {
                do throws(Refusal) {
                    let served = try await examiner.card(at: endpoint, within: reach)
                    let finding = examine(served.compact, of: server, at: endpoint)
                    // Where the operator has said where the peer is reached, its card names another address.
                    let isExpected = standing.isAddressSet && finding.code == "card.otherEndpoint"
                    findings.append(isExpected ? .ok("card", "the card of \(server) is its own") : finding)
                } catch {
                    findings.append(Finding("card", error))
                }
            }
            guard findings.contains(where: { $0.status == .wrong }) else {
                // What does not work while something else does is no more than a warning.
                examination.findings += failed.filter { $0.status != .ok }.map { $0.asked(.warning) } + findings
                return endpoint
            }
            failed += findings
        }
        examination.findings += failed
        if standing.endpoints.isEmpty {
            examination.findings.append(
                .warning(
                    "dns", "peer.addressless", "no address of \(server) is known",
                    "wait until it comes: its card follows then"))
        }
        return nil
    }

    /// A pinned server whose card leads into a private network is not followed there: the pin counts for where it was.
    private static func moved(_ finding: Finding, _ server: ServerID, _ standing: ServerStanding) -> Finding {
        guard finding.code == "address.refused", standing.trust == .pinned else { return finding }
        return .wrong(
            finding.check, "address.moved", "\(finding.found), and not where \(server) was when it was pinned",
            "ask its operator; if it is meant, pin it anew (aether peers add) or set network.allowPrivate")
    }

    /// Whether a channel is open, and if not, why the last attempt failed.
    private func dialFindings(_ server: ServerID, _ standing: ServerStanding) async -> [Finding] {
        let dial = await transport?.dialState(of: server)
        if node.channel(to: server) != nil { return [.ok("channel", "a channel with \(server) is open")] }
        guard standing.isPeer else { return [] }
        guard let dial, let reason = dial.lastFailure else {
            return [
                .warning(
                    "channel", "channel.opening", "no channel with \(server) is open yet", "try again in a moment")
            ]
        }
        let cause = dial.lastCode ?? "unreachable"
        return [
            .wrong(
                "channel", Self.channelCode(cause), "no channel with \(server): \(reason)",
                Self.remedy(for: cause, server))
        ]
    }

    /// A code for a channel that does not open; close codes without a name, such as 1006, are one.
    private static func channelCode(_ cause: String) -> String {
        let code = "channel.\(cause.split(separator: ".").last ?? "closed")"
        return Refusal.isCode(code) ? code : "channel.closed"
    }

    /// What an operator can do about a channel that does not open, by the code that `aether peers list` shows.
    private static func remedy(for code: String, _ server: ServerID) -> String {
        switch code {
        case "untrustedPeer": "its operator adds this server: aether peers add, with its address"
        case "suspended":
            "its operator reinstates this server (aether peers reinstate), or adds it again if it was removed (aether peers add)"
        case "wrongKey": "compare both fingerprints with its operator before anything else"
        case "wrongPeer": "correct the endpoint or the id: another server answers there"
        case "clockSkew": "set both clocks (NTP)"
        case "noCommonSuite": "allow a common suite on both sides (suites.allowClassical)"
        case "incompatibleVersion": "update the older of the two servers"
        case "invalidSignature", "badRecord": "somebody may stand in between: compare the fingerprints"
        case "reflected": "correct the endpoint: it leads back here"
        case "duplicateChannel": "nothing: another channel was kept"
        case "handshakeTimeout", "silent": "see whether something holds messages back: a proxy, a firewall"
        default: "mend what the lines above name; this server keeps dialling \(server)"
        }
    }

    /// What the open channel says: suite, health.
    private func channelFindings(_ server: ServerID, _ standing: ServerStanding) -> [Finding] {
        guard standing.isPeer else { return [] }
        var findings: [Finding] = []
        if let verified = standing.verified {
            findings.append(
                verified.suite.isHybrid
                    ? .ok("suite", "version \(verified.version), \(verified.suite.name)")
                    : .warning(
                        "suite", "suite.classical",
                        "the channel has no post-quantum key exchange: \(verified.suite.name)",
                        "update the peer, or switch suites.allowClassical off on both sides"))
        }
        switch standing.health {
        case .healthy? where node.channel(to: server) == nil:
            findings.append(
                .warning(
                    "health", "health.unknown", "nothing is known of \(server) without a channel, and nothing bad yet",
                    "see the lines above"))
        case .healthy?:
            let trip = node.roundTrip(to: server).map { ", round trip \($0.clampedNanoseconds / 1_000) µs" } ?? ""
            findings.append(.ok("health", "\(server) answers heartbeats\(trip)"))
        case .degraded?:
            findings.append(
                .warning(
                    "health", "health.degraded", "\(server) has missed heartbeats, or has only just come back",
                    "wait for some more; if it stays so, look at the network between"))
        case .unreachable?, nil:
            findings.append(
                .wrong(
                    "health", "health.unreachable", "\(server) answers no heartbeats", "see the lines above"))
        }
        return findings
    }
}
