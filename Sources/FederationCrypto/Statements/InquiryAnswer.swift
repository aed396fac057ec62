public import FederationModel

/// A server's signed answer to an ``Inquiry``: what it knows of whoever asked, and of nobody else.
public struct InquiryAnswer: SignedStatement {
    public static let use = SignatureUse.inquiryAnswer

    /// Who was asked (`iss`).
    public let issuer: ServerID
    /// Who asked (`aud`).
    public let audience: ServerID
    /// The inquiry's (`jti`).
    public let nonce: String
    /// The issuer's wall clock when it answered (`time`, in milliseconds).
    public let time: Timestamp
    /// The number of the issuer's own card (`seq`).
    public let sequence: UInt64
    public let versions: ProtocolVersions
    /// The suites that the issuer offers (`suites`), by number.
    public let suites: [UInt16]
    /// How whoever asked stands with the issuer (`you`).
    public let standing: Standing
    /// What was found when whoever asked was tried back; empty when that was not done. At most ``Limits/findings``.
    public let findings: [Finding]
    /// For each world that was asked about: would a player be let in now?
    public let worlds: [World]

    /// How a server stands with another.
    public struct Standing: Hashable, Sendable {
        /// The number of the card that is known; nil without one.
        public var sequence: UInt64?
        /// Why it is trusted: `pinned`, `registry`, `introduced`, `firstUse`; nil when it is not.
        public var trust: String?
        /// What it may do, by name.
        public var scopes: [String]
        /// Why it is not trusted; nil when it is.
        public var refusal: Reason?
        public var health: HealthStatus?
        /// Whether a channel with it is open.
        public var isConnected: Bool

        public init(
            sequence: UInt64? = nil, trust: String? = nil, scopes: [String] = [], refusal: Reason? = nil,
            health: HealthStatus? = nil, isConnected: Bool = false
        ) {
            self.sequence = sequence
            self.trust = trust.map(Finding.text)
            self.scopes = scopes.prefix(Self.maximumScopes).map(Finding.text)
            self.refusal = refusal
            self.health = health
            self.isConnected = isConnected
        }

        static let maximumScopes = 16
    }

    /// A refusal as another server words it.
    public struct Reason: Hashable, Sendable {
        public let code: String
        public let reason: String
        public let remedy: String

        public init(_ refusal: Refusal) {
            code = refusal.code
            reason = Finding.text(refusal.reason)
            remedy = Finding.text(refusal.remedy)
        }

        init(code: String, reason: String, remedy: String) {
            self.code = code
            self.reason = reason
            self.remedy = remedy
        }

        /// As a refusal of this server's.
        public var refusal: Refusal { Refusal(.forbidden, code: code, reason: reason, remedy: remedy) }
    }

    /// A world that was asked about.
    public struct World: Hashable, Sendable {
        public let world: WorldID
        /// Why a player would not be let in; nil when one would.
        public let refusal: Reason?

        public init(_ world: WorldID, refusal: Refusal?) {
            self.world = world
            self.refusal = refusal.map(Reason.init)
        }

        init(world: WorldID, reason: Reason?) {
            self.world = world
            refusal = reason
        }
    }

    /// The answer to an inquiry. What is too long is cut.
    public init(
        to inquiry: Inquiry, at time: Timestamp, sequence: UInt64, versions: ProtocolVersions, suites: [UInt16],
        standing: Standing, findings: [Finding], worlds: [World]
    ) {
        issuer = inquiry.audience
        audience = inquiry.issuer
        nonce = inquiry.nonce
        self.time = time
        self.sequence = sequence
        self.versions = versions
        self.suites = Array(suites.prefix(Limits.suites))
        self.standing = standing
        self.findings = findings.prefix(Limits.findings).map(\.cut)
        self.worlds = Array(worlds.prefix(Limits.inquiryWorlds))
    }

    /// The answer in `text`, when `key`, which belongs to whoever was asked, signed it as an answer to `inquiry`. Whose clock is
    /// wrong is one of the things that it is to tell, so its time is not looked at: the inquiry's number is never used again.
    public static func verify(
        _ text: String, to inquiry: Inquiry, key: PublicKey
    ) throws(StatementFailure) -> InquiryAnswer {
        let answer = try verified(text, issuer: inquiry.audience, key: key)
        guard answer.audience == inquiry.issuer else { throw .wrongAudience }
        guard answer.nonce == inquiry.nonce else { throw .malformed("jti is that of another inquiry") }
        return answer
    }

    public var claims: [String: JSONValue] {
        [
            "iss": Claims.value(issuer), "aud": Claims.value(audience), "jti": .string(nonce),
            "time": Claims.unsigned(UInt64(max(time.milliseconds, 0))), "seq": Claims.unsigned(sequence),
            "min_version": .integer(Int64(versions.minimum)), "max_version": .integer(Int64(versions.maximum)),
            "suites": .array(suites.map { .integer(Int64($0)) }), "you": .object(standing.members),
            "findings": .array(findings.map { .object($0.members) }),
            "worlds": .array(worlds.map { .object($0.members) }),
        ]
    }

    public init(claims members: [String: JSONValue]) throws(StatementFailure) {
        let claims = Claims(members: members)
        issuer = try claims.value("iss")
        audience = try claims.value("aud")
        nonce = try claims.nonce("jti")
        time = Timestamp(milliseconds: Int64(clamping: try claims.unsigned("time")))
        sequence = try claims.unsigned("seq")
        guard let minimum = UInt16(exactly: try claims.unsigned("min_version")),
            let maximum = UInt16(exactly: try claims.unsigned("max_version")),
            let versions = ProtocolVersions(minimum: minimum, maximum: maximum)
        else { throw .malformed("min_version and max_version are no range of versions") }
        self.versions = versions
        var suites: [UInt16] = []
        for element in try claims.elements("suites", upTo: Limits.suites) {
            guard let suite = element.integer.flatMap({ UInt16(exactly: $0) }) else {
                throw .malformed("suites is not a list of suite numbers")
            }
            suites.append(suite)
        }
        self.suites = suites
        standing = try Standing(claims: try claims.object("you"))
        var findings: [Finding] = []
        for element in try claims.elements("findings", upTo: Limits.findings) {
            guard let members = element.members else { throw .malformed("findings is not a list of objects") }
            findings.append(try Finding(claims: Claims(members: members)))
        }
        self.findings = findings
        var worlds: [World] = []
        for element in try claims.elements("worlds", upTo: Limits.inquiryWorlds) {
            guard let members = element.members else { throw .malformed("worlds is not a list of objects") }
            let claims = Claims(members: members)
            worlds.append(World(world: try claims.value("world"), reason: try claims.reason()))
        }
        self.worlds = worlds
        guard issuer != audience else { throw .malformed("aud is iss") }
    }
}

// MARK: As JSON

extension InquiryAnswer.Reason {
    fileprivate var members: [String: JSONValue] {
        ["code": .string(code), "reason": .string(reason), "remedy": .string(remedy)]
    }
}

extension InquiryAnswer.World {
    fileprivate var members: [String: JSONValue] {
        (refusal?.members ?? [:]).merging(["world": Claims.value(world)]) { _, new in new }
    }
}

extension InquiryAnswer.Standing {
    fileprivate var members: [String: JSONValue] {
        var members = refusal?.members ?? [:]
        members["scopes"] = .array(scopes.map { .string($0) })
        members["connected"] = .bool(isConnected)
        if let sequence { members["seq"] = Claims.unsigned(sequence) }
        if let trust { members["trust"] = .string(trust) }
        if let health { members["health"] = .string(health.rawValue) }
        return members
    }

    fileprivate init(claims: Claims) throws(StatementFailure) {
        sequence = claims.members["seq"] == nil ? nil : try claims.unsigned("seq")
        trust = claims.members["trust"] == nil ? nil : try claims.line("trust")
        scopes = try claims.texts("scopes", upTo: Self.maximumScopes)
        guard scopes.allSatisfy(Finding.isText) else { throw .malformed("scopes is not a list of names") }
        refusal = try claims.reason()
        health = nil
        if claims.members["health"] != nil {
            guard let status = HealthStatus(rawValue: try claims.text("health")) else {
                throw .malformed("health is not valid")
            }
            health = status
        }
        guard case .bool(let isConnected)? = claims.members["connected"] else {
            throw .malformed("connected is missing or not a truth value")
        }
        self.isConnected = isConnected
    }
}

extension Finding {
    fileprivate var cut: Finding {
        Finding(check, status, code: code, Self.text(found), remedy: remedy.map(Self.text))
    }

    fileprivate var members: [String: JSONValue] {
        var members: [String: JSONValue] = [
            "check": .string(check), "status": .string(status.rawValue), "code": .string(code), "found": .string(found),
        ]
        if let remedy { members["remedy"] = .string(remedy) }
        return members
    }

    fileprivate init(claims: Claims) throws(StatementFailure) {
        guard let status = Status(rawValue: try claims.text("status")) else { throw .malformed("status is not valid") }
        let check = try claims.code("check")
        // Whoever reads it says where it was looked at, which makes it longer.
        guard check.utf8.count <= Limits.identifierBytes / 2 else { throw .malformed("check is too long") }
        self.init(
            check, status, code: try claims.code("code"), try claims.line("found"),
            remedy: claims.members["remedy"] == nil ? nil : try claims.line("remedy"))
    }
}

extension Claims {
    fileprivate func elements(_ name: String, upTo bound: Int) throws(StatementFailure) -> [JSONValue] {
        guard let elements = members[name]?.elements, elements.count <= bound else {
            throw .malformed("\(name) is not an array of at most \(bound) elements")
        }
        return elements
    }

    fileprivate func object(_ name: String) throws(StatementFailure) -> Claims {
        guard let members = members[name]?.members else { throw .malformed("\(name) is missing or not an object") }
        return Claims(members: members)
    }

    fileprivate func code(_ name: String) throws(StatementFailure) -> String {
        let text = try text(name)
        guard Refusal.isCode(text) else { throw .malformed("\(name) is not a code") }
        return text
    }

    fileprivate func line(_ name: String) throws(StatementFailure) -> String {
        let text = try text(name)
        guard Finding.isText(text) else { throw .malformed("\(name) is not a line of text") }
        return text
    }

    /// The refusal among these members, if there is one.
    fileprivate func reason() throws(StatementFailure) -> InquiryAnswer.Reason? {
        guard members["code"] != nil else { return nil }
        return InquiryAnswer.Reason(code: try code("code"), reason: try line("reason"), remedy: try line("remedy"))
    }
}
