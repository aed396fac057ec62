public import FederationCrypto
public import FederationModel
import FederationWire

/// Introductions: what this server tells its peers of one another, and what they tell it.
///
/// Only what this server has proved itself is told, never what it has heard; and only of peers that it trusts by its operator's
/// word or a registry's. So trust that comes from introductions never reaches further than one step.
extension FederationNode {
    /// One that was sent.
    struct SentIntroduction: Sendable {
        let key: PublicKey
        let at: Instant
        /// Whether it was sent a second time, because the key had changed.
        var isRepeated = false
    }

    /// One of this server's own, kept so that it is signed once for all its readers.
    struct OwnIntroduction: Sendable {
        let signer: PublicKey
        let key: PublicKey
        let endpoint: Endpoint
        let at: Instant
        let compact: String
    }

    /// How many introductions, or strangers in them, there were between this server and a peer since a moment.
    struct IntroductionAllowance: Sendable {
        private(set) var since: Instant
        private(set) var used = 0

        /// What is left of an earlier one, or one that begins now.
        init(_ earlier: IntroductionAllowance?, within window: Duration, at now: Instant) {
            since = now
            if let earlier, now < earlier.since + window { self = earlier }
        }

        /// Whether so many more are within the limit; then they count.
        mutating func take(_ count: Int = 1, of limit: Int) -> Bool {
            guard used + count <= limit else { return false }
            used += count
            return true
        }
    }

    /// A search for a card that has not ended.
    struct CardSearch: Sendable {
        let at: Instant
        let pause: Duration
    }

    // MARK: Telling

    /// A peer has come: the others are introduced to it, and it to them.
    mutating func introduce(arrived peer: ServerID, at now: Now) -> [Effect] {
        var effects = introduce(toEverybody: peer, at: now)
        for other in channels.keys.sorted() where other != peer {
            effects += introduce([peer], to: other, at: now)
        }
        return effects
    }

    /// Tells one peer of all the others.
    mutating func introduce(toEverybody receiver: ServerID, at now: Now) -> [Effect] {
        introduce(channels.keys.sorted(), to: receiver, at: now)
    }

    private mutating func introduce(_ subjects: [ServerID], to receiver: ServerID, at now: Now) -> [Effect] {
        guard policy.introduces, let channel = channels[receiver], missing(.route, of: receiver) == nil else {
            return []
        }
        var sent = (introductionsSent[receiver] ?? [:]).filter { now.instant < $0.value.at + Limits.introductionPause }
        var allowance = IntroductionAllowance(
            introductionsTold[receiver], within: Limits.introductionWindow, at: now.instant)
        var told: [(statement: String, card: String?)] = []
        var isHeldBack = false
        for subject in subjects where subject != receiver {
            guard let peer = verifiedPeer(subject, at: now), let record = peers[subject],
                record.trust.isOwnJudgement, missing(.route, of: subject) == nil,
                let entry = registry.server(subject)
            else { continue }
            let last = sent[subject]
            // A peer that changes its key again and again must not make this server tell everybody as often.
            if let last, last.key == peer.publicKey || last.isRepeated { continue }
            guard last != nil || sent.count < Limits.introductionsPerIntroducer else { continue }
            // Their windows begin at other times than this server's: so the half never is more than the receiver takes.
            guard allowance.take(of: Limits.introductionBurst / 2) else {
                isHeldBack = true
                break
            }
            sent[subject] = SentIntroduction(key: peer.publicKey, at: now.instant, isRepeated: last != nil)
            let statement = ownIntroduction(of: subject, key: peer.publicKey, at: entry.endpoint, at: now)
            told.append((statement, entry.publicKey == peer.publicKey ? cards[subject] : nil))
        }
        if isHeldBack {
            let next = allowance.since + Limits.introductionWindow
            introductionsDue = introductionsDue.map { min($0, next) } ?? next
        }
        guard !told.isEmpty else { return [] }
        introductionsSent[receiver] = sent
        introductionsTold[receiver] = allowance
        introductionsDue = introductionsDue ?? now.instant + Limits.introductionPause
        return stride(from: 0, to: told.count, by: Limits.introductionsPerFrame).map { start in
            let part = told[start...].prefix(Limits.introductionsPerFrame)
            return .send(
                .introductions(.init(statements: part.map(\.statement), cards: part.compactMap(\.card))), on: channel)
        }
    }

    private mutating func ownIntroduction(
        of subject: ServerID, key: PublicKey, at endpoint: Endpoint, at now: Now
    ) -> String {
        if let own = ownIntroductions[subject], own.signer == identity.publicKey, own.key == key,
            own.endpoint == endpoint, now.instant < own.at + Limits.introductionPause
        {
            return own.compact
        }
        let compact = Introduction(
            issuer: id, subject: subject, key: key, endpoint: endpoint, issuedAt: now.timestamp,
            expiresAt: now.timestamp + Limits.introductionValidity
        ).issue(by: identity)
        ownIntroductions[subject] = OwnIntroduction(
            signer: identity.publicKey, key: key, endpoint: endpoint, at: now.instant, compact: compact)
        return compact
    }

    /// What becomes due of trust and introductions.
    mutating func keepTrust(at now: Now) -> [Effect] {
        var effects: [Effect] = []
        if let due = trustReviewDue, due <= now.instant {
            trustReviewDue = nil
            forgetAllowances(at: now.instant)
            effects += reviewTrust(at: now)
        }
        if let due = introductionsDue, due <= now.instant {
            introductionsDue = nil
            for receiver in channels.keys.sorted() { effects += introduce(toEverybody: receiver, at: now) }
            // Not everything was told at the same time.
            let next = now.instant + Limits.introductionPause / 24
            if !channels.isEmpty { introductionsDue = introductionsDue.map { min($0, next) } ?? next }
        }
        return effects
    }

    // MARK: Hearing

    /// A peer introduces others. What does not verify is reported; what can never count is not kept.
    mutating func receive(
        _ told: FederationFrame.Introductions, from peer: VerifiedPeer, at now: Now
    ) -> [Effect] {
        let introducer = peer.serverID
        guard trustView.isIntroducer(introducer) else { return [] }
        guard takeAllowance(of: introducer, told.statements.count, at: now) else {
            return [.report(.refusedFrame(introducer, code: "introduction.tooMany"))]
        }
        let expired = expireIntroductions(at: now)
        var effects = expired.effects + reviewTrust(in: expired.concerned, at: now)
        var subjects: Set<ServerID> = []
        var news: Set<ServerID> = []
        for compact in told.statements {
            guard
                let introduction = try? Introduction.verify(
                    compact, introducer: introducer, key: key(of: peer, for: compact, at: now), at: now.timestamp)
            else {
                effects.append(.report(.refusedFrame(introducer, code: "introduction.refused")))
                continue
            }
            guard introduction.subject != id else { continue }
            subjects.insert(introduction.subject)
            let heard = hear(HeardIntroduction(introduction: introduction, heardAt: now.timestamp), at: now)
            if heard.isNews { news.insert(introduction.subject) }
            effects += heard.effects
        }
        // Before anybody is judged, so that no card is looked for that has come along.
        effects += learn(told.cards, of: subjects, from: introducer, at: now)
        for subject in news.sorted() { effects += reviewTrust(in: subject, at: now) }
        scheduleReview(at: now)
        return effects
    }

    private mutating func hear(_ heard: HeardIntroduction, at now: Now) -> (isNews: Bool, effects: [Effect]) {
        guard mayBring(heard, at: now) else {
            return (false, [.report(.refusedFrame(heard.introducer, code: "introduction.full"))])
        }
        let wasContested = trustView.isContested(heard.subject, at: now)
        switch introductions.hear(heard) {
        case .known: return (false, [])
        case .full: return (false, [.report(.refusedFrame(heard.introducer, code: "introduction.full"))])
        case .kept: break
        }
        var effects: [Effect] = [.persist([.trust(.putIntroduction(heard))])]
        if !wasContested, trustView.isContested(heard.subject, at: now) {
            effects.append(.report(.introductionsContradict(heard.subject)))
        }
        return (true, effects)
    }

    private mutating func takeAllowance(of introducer: ServerID, _ count: Int, at now: Now) -> Bool {
        var allowance = IntroductionAllowance(
            introductionAllowances[introducer], within: Limits.introductionWindow, at: now.instant)
        guard allowance.take(count, of: Limits.introductionBurst) else { return false }
        introductionAllowances[introducer] = allowance
        return true
    }

    /// Whether an introducer may tell of somebody: a stranger may come in by its word, and then its id stays bound for good. So
    /// each may tell of as many in a day as it may tell of at all, however soon its word ends; and of none where there is no
    /// room for strangers.
    private mutating func mayBring(_ heard: HeardIntroduction, at now: Now) -> Bool {
        let subject = heard.subject
        guard bindings[subject] == nil, registry.server(subject) == nil, registry.tombstone(subject) == nil,
            !introductions.about(subject).contains(where: { $0.introducer == heard.introducer })
        else { return true }
        guard registry.count + registry.tombstoneCount - brought < configuration.registeredServers else { return false }
        var allowance = IntroductionAllowance(
            strangerAllowances[heard.introducer], within: Limits.introductionPause, at: now.instant)
        guard allowance.take(of: Limits.introductionsPerIntroducer) else { return false }
        strangerAllowances[heard.introducer] = allowance
        return true
    }

    /// What was counted outlasts the trust in a peer, which could otherwise begin anew by coming again, and ends with its time.
    private mutating func forgetAllowances(at now: Instant) {
        introductionsTold = introductionsTold.filter { now < $0.value.since + Limits.introductionWindow }
        introductionAllowances = introductionAllowances.filter { now < $0.value.since + Limits.introductionWindow }
        strangerAllowances = strangerAllowances.filter { now < $0.value.since + Limits.introductionPause }
    }

    /// - Returns: also whom it concerns, who are not looked at yet.
    mutating func expireIntroductions(at now: Now) -> Review {
        forgetIntroductions { $0.introduction.expiresAt <= now.timestamp }
    }

    /// Forgets what a server has said that is a peer no more, or whose key others may have had.
    ///
    /// - Returns: also whom it concerns, who are not looked at yet.
    mutating func forgetIntroductions(by introducer: ServerID) -> Review {
        introductionsSent[introducer] = nil
        return forgetIntroductions { $0.introducer == introducer }
    }

    private mutating func forgetIntroductions(where isMeant: (HeardIntroduction) -> Bool) -> Review {
        guard introductions.count > 0 else { return Review() }
        let forgotten = introductions.forget(where: isMeant)
        guard !forgotten.isEmpty else { return Review() }
        let subjects = Set(forgotten.map(\.subject)).sorted()
        for subject in subjects where introductions.about(subject).isEmpty { cardSearches[subject] = nil }
        return Review(
            effects: [
                .persist(
                    forgotten.map { .trust(.removeIntroduction(introducer: $0.introducer, subject: $0.subject)) })
            ], concerned: subjects)
    }

    /// Looks anew at those whom a server has introduced, because its word counts no more, or again.
    mutating func reviewIntroduced(by introducer: ServerID, at now: Now) -> [Effect] {
        reviewTrust(in: introductions.subjects(of: introducer), at: now)
    }

    // MARK: Cards of the introduced

    /// Takes the cards that came with introductions: of a server that is known, as from anybody; of a stranger only when the
    /// policy would have its card looked for now. Nothing else is kept of strangers.
    private mutating func learn(
        _ compacts: [String], of subjects: Set<ServerID>, from introducer: ServerID, at now: Now
    ) -> [Effect] {
        var effects: [Effect] = []
        for compact in compacts where !subjects.contains(where: { cards[$0] == compact }) {
            guard let card = try? ServerCard.verify(compact, at: now.timestamp), subjects.contains(card.id) else {
                effects.append(.report(.refusedFrame(introducer, code: "introduction.cardRefused")))
                continue
            }
            let isStranger = registry.server(card.id) == nil
            if isStranger {
                // What a registry lists has answered where it says that it is: it is looked for there.
                guard !configuration.servesRegistry else { continue }
                guard trustView.search(for: card.id, at: now) != nil, isExpected(card, at: now) else { continue }
            }
            do throws(Refusal) {
                effects += try register(compact, from: isStranger ? nil : introducer, at: now).effects
            } catch  where ["server.alreadyRegistered", "server.hasLeft"].contains(error.code) {
                // An older one than the known: peers hear of changes at different times.
                continue
            } catch {
                effects.append(.report(.noticeRefused(introducer, code: error.code)))
            }
        }
        return effects
    }

    /// Whether a card that was found where others had said may be believed: what is known of its server speaks for itself.
    /// That of a stranger only while the policy would have it looked for, and only under the key that its introducers agree on,
    /// whoever answers at the address that one of them named.
    public func isExpected(_ card: ServerCard, at now: Now) -> Bool {
        let view = trustView
        guard bindings[card.id] == nil, registry.server(card.id) == nil, registry.tombstone(card.id) == nil else {
            return true
        }
        guard view.search(for: card.id, at: now) != nil else { return false }
        let introduced = view.introduced(card.id, key: card.publicKey, at: now)
        return !introduced.by.isEmpty && !introduced.isContested
    }

    /// Looks for the card of a server that enough peers have introduced: seldom, ever more seldom, and for few at one time, so
    /// that nobody can make this server knock at many doors.
    mutating func searchCard(of server: ServerID, at now: Now) -> [Effect] {
        guard let endpoints = trustView.search(for: server, at: now) else {
            // Not when the introducers only disagree for a while: they could make the pauses short again.
            if registry.server(server) != nil { cardSearches[server] = nil }
            return []
        }
        if let last = cardSearches[server], now.instant < last.at + last.pause { return [] }
        let open = cardSearches.values.count { now.instant < $0.at + Limits.cardFetchPause }
        guard open < Limits.cardSearches else { return [] }
        let pause = cardSearches[server].map { min($0.pause * 2, Limits.cardSearchPause) } ?? Limits.cardFetchPause
        cardSearches[server] = CardSearch(at: now.instant, pause: pause)
        return [.fetchCard(server, endpoints)]
    }
}

extension TrustSource {
    /// Whether the trust comes from the operator or a registry, and not from introductions or from nothing.
    var isOwnJudgement: Bool {
        switch self {
        case .pinned, .registry: true
        case .introduced, .firstUse: false
        }
    }
}
