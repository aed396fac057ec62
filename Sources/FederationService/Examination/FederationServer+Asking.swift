import FederationCore
import FederationCrypto
import FederationModel

/// The other direction of an examination: what a peer says of this server.
extension FederationServer {
    /// Asks a peer how this server stands with it, whether it reaches it, and whether players could go through the portals that
    /// lead there.
    func ask(
        _ server: ServerID, _ standing: ServerStanding, at endpoint: Endpoint, by examiner: any ExaminationLink
    ) async -> [Finding] {
        let routes = node.routing.routes(to: server, limit: Self.examinedRoutes + 1)
        let active = routes.prefix(Self.examinedRoutes).filter(\.isActive)
        var worlds: [WorldID] = []
        for route in active where !worlds.contains(route.world) { worlds.append(route.world) }
        let sent = clock.now()
        let inquiry = Inquiry(
            issuer: id, audience: server, nonce: entropy.bytes(Inquiry.nonceBytes), worlds: worlds,
            issuedAt: sent.timestamp)
        let answer: InquiryAnswer
        do {
            let compact = try await examiner.ask(
                inquiry.issue(by: node.identity), at: endpoint,
                within: reach(to: endpoint, of: standing))
            guard let key = node.countingKey(of: server, for: compact, at: clock.now()) else {
                throw StatementFailure.badSignature
            }
            answer = try InquiryAnswer.verify(compact, to: inquiry, key: key)
        } catch {
            return clockFindings(standing) + [Self.unasked(server, error)] + routeFindings(routes, answer: nil)
        }
        var findings = [Finding.ok("asked", "\(server) answers, signed")]
        findings += clockFindings(answer, sent: sent, back: clock.now())
        findings += offerFindings(answer)
        findings += Self.standingFindings(answer, own: publishedCard?.card.sequence)
        findings += Self.wayBack(answer)
        findings += routeFindings(routes, answer: answer)
        let welcoming = Set(answer.worlds.filter { $0.refusal == nil }.map(\.world))
        for world in worlds where welcoming.contains(world) { findings.append(await dryRun(of: world, at: server)) }
        return findings
    }

    /// Portals that one examination looks at.
    private static let examinedRoutes = 64

    private static func unasked(_ server: ServerID, _ error: any Error) -> Finding {
        switch error {
        case let refusal as Refusal where refusal.code == "inquiry.unknown":
            .wrong(
                "asked", "peer.unknownThere", "\(server) does not know this server, or not with this key",
                "its operator compares this server's fingerprint and adds it: aether peers add")
        case let refusal as Refusal where refusal.code == "inquiry.expired":
            Finding("asked", refusal)
        case let refusal as Refusal:
            Finding("asked", refusal, .warning)
        case let failure as StatementFailure:
            .wrong(
                "asked", "inquiry.forged", "the answer of \(server) \(failure.reason)",
                "somebody may stand in between; compare the fingerprints")
        default:
            .warning("asked", "inquiry.failed", "\(server) could not be asked", "try again in a moment")
        }
    }

    // MARK: Clocks

    /// From here on a difference is worth a word.
    static let noticedClockDifference: Duration = .seconds(5)

    private func clockFindings(_ answer: InquiryAnswer, sent: Now, back: Now) -> [Finding] {
        // The other server looks at its clock last, after it has tried this one: so it is nearer to the end.
        let trip = max(.zero, back.instant - sent.instant)
        let ahead = answer.time - back.timestamp
        // Anything within the round trip may be the way and not the clock.
        let surely = ahead < .zero ? min(.zero, ahead + trip) : ahead
        return [Self.clock(surely, answer.issuer)]
    }

    /// What the handshake has shown, where the peer does not answer itself.
    private func clockFindings(_ standing: ServerStanding) -> [Finding] {
        standing.verified.map { [Self.clock($0.clockOffset, $0.serverID)] } ?? []
    }

    private static func clock(_ ahead: Duration, _ server: ServerID) -> Finding {
        let size = ahead < .zero ? .zero - ahead : ahead
        let seconds = size.components.seconds
        let text = "the clock of \(server) is \(seconds) s \(ahead < .zero ? "behind" : "ahead")"
        if size >= Limits.tokenLeeway {
            return .wrong(
                "clock", "clock.wrong",
                "\(text); tokens bear \(Limits.tokenLeeway.components.seconds) s, handshakes "
                    + "\(Limits.clockSkew.components.seconds) s",
                "set both clocks (NTP)")
        }
        if size >= noticedClockDifference {
            return .warning("clock", "clock.off", text, "set both clocks (NTP)")
        }
        return .ok("clock", "the clocks agree within \(max(1, seconds + 1)) s")
    }

    // MARK: What it says

    private func offerFindings(_ answer: InquiryAnswer) -> [Finding] {
        let own = node.configuration.handshake
        guard own.versions.highestInCommon(with: answer.versions) != nil else {
            return [
                .wrong(
                    "suites", "versions.none",
                    "\(answer.issuer) speaks no version of the protocol that this server speaks",
                    "update the older of the two")
            ]
        }
        let common = own.suites.filter { answer.suites.contains($0.rawValue) }
        guard !common.isEmpty else {
            return [
                .wrong(
                    "suites", "suites.none", "\(answer.issuer) allows no suite that this server allows",
                    "allow a common one on both sides (suites.allowClassical)")
            ]
        }
        return [.ok("suites", "\(common.count) in common with \(answer.issuer)")]
    }

    private static func standingFindings(_ answer: InquiryAnswer, own: UInt64?) -> [Finding] {
        let server = answer.issuer
        let standing = answer.standing
        if let refusal = standing.refusal {
            let remedy = "its operator: \(refusal.remedy)"
            let isUnknown = refusal.code == "peer.unknown" || refusal.code == "policy.noEvidence"
            return [
                .wrong(
                    "there.trust", isUnknown ? "peer.unknownThere" : "\(refusal.code)",
                    isUnknown
                        ? "\(server) knows this server and does not trust it" : "\(server) says: \(refusal.reason)",
                    isUnknown ? "its operator adds this server: aether peers add" : remedy)
            ]
        }
        var findings: [Finding] = []
        let source = standing.trust ?? "by its policy, once this server comes"
        let missing = PeerScopes.named.map(\.name).filter { !standing.scopes.contains($0) }
        findings.append(
            missing.isEmpty || standing.trust == nil
                ? .ok("there.trust", "\(server) trusts this server (\(source))")
                : .warning(
                    "there.trust", "scopes.limited",
                    "\(server) trusts this server (\(source)), without \(missing.joined(separator: ", "))",
                    "if it is not meant, its operator: aether peers scopes"))
        if let own, let known = standing.sequence, known > own {
            findings.append(
                .warning(
                    "there.card", "card.restored", "\(server) knows a newer card of this server than this server does",
                    "see that no second copy of this server runs; after a restore, start it anew"))
        }
        guard standing.trust != nil else { return findings }
        switch standing.health {
        case .healthy?: findings.append(.ok("there.health", "\(server) finds this server healthy"))
        case .degraded?:
            findings.append(
                .warning(
                    "there.health", "health.degraded", "\(server) misses heartbeats of this server",
                    "wait for some more; if it stays so, look at the network between"))
        case .unreachable?, nil:
            findings.append(
                .wrong(
                    "there.health", "health.unreachable", "\(server) hears no heartbeats of this server",
                    "see the other lines; each server dials the other"))
        }
        return findings
    }

    /// What the peer found when it tried this server.
    private static func wayBack(_ answer: InquiryAnswer) -> [Finding] {
        answer.findings.map { finding in
            // A channel that the other side has dialled carries as much: so a way that is closed is not yet fatal.
            let status: Finding.Status =
                finding.status == .wrong && answer.standing.isConnected ? .warning : finding.status
            return Finding(
                "back.\(finding.check)", status, code: finding.code, "from \(answer.issuer): \(finding.found)",
                remedy: finding.remedy)
        }
    }

    // MARK: Portals

    /// A dry run of each portal to the peer: first here, then there.
    private func routeFindings(_ routes: [PortalRoute], answer: InquiryAnswer?) -> [Finding] {
        routes.prefix(Self.examinedRoutes).map { route in
            do throws(Refusal) {
                _ = try node.resolve(route.portal, at: clock.now())
            } catch {
                return Finding("route", error, error.code == "route.inactive" ? .warning : .wrong)
            }
            guard let answer, let world = answer.worlds.first(where: { $0.world == route.world }) else {
                return .warning(
                    "route", "route.untried",
                    "\(route.portal) is open here; \(route.destination) was not asked about \(route.world)",
                    "try it: aether travel NAME \(route.portal)")
            }
            if let refusal = world.refusal {
                return .wrong(
                    "route", refusal.code, "\(route.portal): \(route.destination) would refuse: \(refusal.reason)",
                    refusal.code.hasPrefix("peer.scopeMissing.")
                        ? "its operator: aether peers scopes \(id) …" : refusal.remedy)
            }
            return .ok("route", "\(route.portal): a player would be let into \(route.world) on \(route.destination)")
        }
    }
}
