public import FederationModel

/// What peers have said of servers: one introduction for each introducer and subject, bounded for each introducer and in all.
public struct IntroductionBook: Sendable {
    /// What became of an introduction.
    public enum Outcome: Hashable, Sendable {
        case kept
        /// A newer one, or the same, is known.
        case known
        /// The introducer, or everybody together, has introduced as many as are kept.
        case full
    }

    private var bySubject: [ServerID: [ServerID: HeardIntroduction]] = [:]
    private var counts: [ServerID: Int] = [:]
    public private(set) var count = 0

    public init() {}

    /// Every introduction, sorted by subject, then introducer.
    public var all: [HeardIntroduction] { subjects.flatMap(about) }

    /// Who has been introduced, sorted.
    public var subjects: [ServerID] { bySubject.keys.sorted() }

    /// Whom a server has introduced, sorted.
    public func subjects(of introducer: ServerID) -> [ServerID] {
        guard counts[introducer] != nil else { return [] }
        return bySubject.filter { $0.value[introducer] != nil }.keys.sorted()
    }

    /// What is said of a server, sorted by introducer.
    public func about(_ subject: ServerID) -> [HeardIntroduction] {
        guard let said = bySubject[subject] else { return [] }
        return said.keys.sorted().compactMap { said[$0] }
    }

    /// Keeps an introduction, or its newer version. Nobody else's gives way to it.
    public mutating func hear(_ heard: HeardIntroduction) -> Outcome {
        if let known = bySubject[heard.subject]?[heard.introducer] {
            guard known.introduction != heard.introduction,
                heard.introduction.issuedAt >= known.introduction.issuedAt
            else { return .known }
        } else {
            guard counts[heard.introducer, default: 0] < Limits.introductionsPerIntroducer, count < Limits.introductions
            else { return .full }
            counts[heard.introducer, default: 0] += 1
            count += 1
        }
        bySubject[heard.subject, default: [:]][heard.introducer] = heard
        return .kept
    }

    /// Forgets what fits, and returns it, sorted by subject.
    public mutating func forget(where isMeant: (HeardIntroduction) -> Bool) -> [HeardIntroduction] {
        let meant = all.filter(isMeant)
        for heard in meant {
            bySubject[heard.subject]?[heard.introducer] = nil
            if bySubject[heard.subject]?.isEmpty == true { bySubject[heard.subject] = nil }
            counts[heard.introducer, default: 1] -= 1
            if counts[heard.introducer] == 0 { counts[heard.introducer] = nil }
            count -= 1
        }
        return meant
    }
}
