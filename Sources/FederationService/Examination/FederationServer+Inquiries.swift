import FederationCore
import FederationCrypto
public import FederationModel

/// Answering others' inquiries: how they stand here, and whether they are reached from here.
extension FederationServer {
    /// Answers a server's signed inquiry. It is told about itself only. A peer is tried back at the addresses that are known of it
    /// here; nothing in the inquiry can name another.
    ///
    /// - Returns: an ``InquiryAnswer``, as compact JWS.
    /// - Throws: `inquiry.malformed`; `inquiry.unknown` to whoever is not known here or does not hold the key, alike;
    ///   `inquiry.expired`, `inquiry.repeated`, `inquiry.tooMany`.
    public func answer(inquiry compact: String) async throws(Refusal) -> String {
        try checkReady()
        let now = clock.now()
        let inquiry = try verified(compact, at: now)
        let server = inquiry.issuer
        try inquiries.admit(
            inquiry.nonce, from: server, until: inquiry.expiresAt + Limits.clockSkew, at: now)
        let findings = await triedBack(server)
        guard let standing = node.standing(of: server, at: clock.now()), let card = publishedCard?.card else {
            throw Self.unknownInquirer
        }
        let answered = clock.now()
        return InquiryAnswer(
            to: inquiry, at: answered.timestamp, sequence: card.sequence, versions: card.versions,
            suites: node.configuration.handshake.suites.map(\.rawValue),
            standing: InquiryAnswer.Standing(
                sequence: standing.entry?.recordSequence, trust: standing.trust?.kind, scopes: standing.scopes.names,
                refusal: standing.refusal.map(InquiryAnswer.Reason.init), health: standing.health,
                isConnected: standing.isConnected),
            findings: findings,
            worlds: inquiry.worlds.map {
                InquiryAnswer.World($0, refusal: node.refusal(toEnter: $0, from: server, at: answered))
            }
        ).issue(by: node.identity)
    }

    /// One answer for everybody who cannot show a key that is known here.
    private static let unknownInquirer = Refusal(
        .forbidden, code: "inquiry.unknown", reason: "no server of this id and key is known here",
        remedy: "ask the operator to add this server: aether peers add")

    private func verified(_ compact: String, at now: Now) throws(Refusal) -> Inquiry {
        let issuer: ServerID
        do {
            issuer = try Inquiry.unverifiedIssuer(compact)
        } catch {
            throw Refusal(
                .invalid, code: "inquiry.malformed", reason: "the inquiry \(error.reason)",
                remedy: "send one as PROTOCOL.md describes it")
        }
        guard issuer != id, let key = node.countingKey(of: issuer, for: compact, at: now) else {
            throw Self.unknownInquirer
        }
        do {
            return try Inquiry.verify(compact, issuer: issuer, key: key, audience: id, at: now.timestamp)
        } catch {
            switch error {
            case .badSignature, .wrongIssuer, .malformed:
                throw Self.unknownInquirer
            case .wrongAudience:
                throw Refusal(
                    .forbidden, code: "inquiry.wrongAudience", reason: "the inquiry is meant for another server",
                    remedy: "correct the address: \(id) answers here")
            case .expired, .notYetValid:
                throw Refusal(
                    .forbidden, code: "inquiry.expired",
                    reason:
                        "the inquiry \(error.reason): the clocks differ by more than 300 s, or it was long on its way",
                    remedy: "set both clocks (NTP)")
            }
        }
    }

    // MARK: Trying back

    /// Looks whether a peer is reached from here. Unless its own card answers at an address it is told nothing of what is there:
    /// its card could name anybody's.
    private func triedBack(_ server: ServerID) async -> [Finding] {
        guard let examiner, let standing = node.standing(of: server, at: clock.now()), standing.isPeer,
            standing.refusal == nil, !standing.endpoints.isEmpty
        else { return [] }
        guard inquiries.begin(server) else {
            return [Self.busy]
        }
        defer { inquiries.finish(server) }
        let end = clock.now().instant + Self.tryBackTime
        var last: [Finding] = []
        for endpoint in standing.endpoints.prefix(Limits.examinedEndpoints) where clock.now().instant < end {
            last = await triedBack(server, standing, at: endpoint, by: examiner)
            if !last.contains(where: { $0.status == .wrong }) { break }
        }
        return last
    }

    private func triedBack(
        _ server: ServerID, _ standing: ServerStanding, at endpoint: Endpoint, by examiner: any ExaminationLink
    ) async -> [Finding] {
        let start = clock.now().instant
        let isChosen = standing.isChosen(endpoint)
        // Its own card must answer there first: until then the address may be anybody's, and all failures look the same.
        let served: ServedCard
        let card: Finding
        do throws(Refusal) {
            served = try await examiner.card(at: endpoint, within: reach(isChosen, isProvoked: true))
            card = examine(served.compact, of: server, at: endpoint)
        } catch {
            // What this server cannot do now says nothing of the other one. But only calls that an address policy lets through
            // are counted and last, so where others' words lead, that there were too many would tell what is there.
            guard error.code != "fetch.busy" || !isChosen else { return [Self.busy] }
            guard error.code != Refusal.cannotLook else {
                return [Finding("endpoint", .toldCannotLook, .warning)]
            }
            return await unproven(server, since: start)
        }
        guard card.status != .wrong else { return await unproven(server, since: start) }
        guard !standing.isAddressSet else { return [.ok("endpoint", "\(server) answers with its own card")] }
        let findings = await examiner.probe(
            endpoint, at: served.address, within: reach(false, isProvoked: !isChosen))
        let isPrivate = findings.contains { ["address.refused", "address.denied"].contains($0.code) }
        return isPrivate ? [.ok("endpoint", "\(server) answers with its own card")] : findings + [card]
    }

    private static let busy = Finding.warning(
        "endpoint", "inquiry.busy", "too many servers are being tried back", "ask again in a minute")

    /// What a server is told of an address that it might not own, and when: after the same time whatever is there, because a
    /// port that is closed answers sooner than one that is filtered.
    private func unproven(_ server: ServerID, since start: Instant) async -> [Finding] {
        try? await clock.sleep(until: start + Self.attemptTime)
        return [
            .wrong(
                "endpoint", "endpoint.unproven",
                "\(server) was not found at its address, or was looked for there too often",
                "see that it answers there, from where the other server stands; ask again after a minute")
        ]
    }

    /// How long an attempt that proves nothing takes: longer than the fetcher waits for any answer.
    static let attemptTime: Duration = .milliseconds(5_500)
    /// After so long no further address is tried.
    private static let tryBackTime: Duration = .seconds(6)
}
