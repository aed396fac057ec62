import FederationCore
import FederationCrypto
import FederationModel
import GRDB

/// The trust policy: one row, once it was set. Its text is the JSON of the API, in its one form.
struct PolicyRow: StoredRow {
    let policy: TrustPolicy

    static let table = Table("policy", ["id", "json"])

    var columnValues: [(any DatabaseValueConvertible)?] { [1, policy.description] }

    init(policy: TrustPolicy) {
        self.policy = policy
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        _ = try reader.integer()
        policy = try reader.value()
    }
}

extension HeardIntroduction: StoredRow {
    static let table = Table(
        "introductions",
        ["id", "introducer", "subject", "public_key", "endpoint", "issued_at", "expires_at", "heard_at"])

    /// No id contains a space.
    static func rowKey(_ introducer: ServerID, _ subject: ServerID) -> String { "\(introducer) \(subject)" }

    var columnValues: [(any DatabaseValueConvertible)?] {
        [
            Self.rowKey(introducer, subject), introducer.rawValue, subject.rawValue, introduction.key.description,
            introduction.endpoint.description, introduction.issuedAt.milliseconds, introduction.expiresAt.milliseconds,
            heardAt.milliseconds,
        ]
    }

    init(from reader: inout RowReader) throws(RowFailure) {
        _ = try reader.text()
        let introduction = Introduction(
            issuer: try reader.value(), subject: try reader.value(), key: try reader.value(),
            endpoint: try reader.value(), issuedAt: try reader.timestamp(), expiresAt: try reader.timestamp())
        self.init(introduction: introduction, heardAt: try reader.timestamp())
    }
}
