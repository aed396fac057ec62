public import FederationModel

/// Something that a server states under its signature: a compact JWS whose `typ` says what it is.
///
/// Issuing never fails: numbers over 2^53-1, which not every JSON reader holds exactly, are written as 2^53-1, and
/// times before 1970 as 1970. Reading is strict.
public protocol SignedStatement: Hashable, Sendable {
    /// The use under which it is signed.
    static var use: SignatureUse { get }

    /// The id under whose key the statement must stand (`iss`).
    var issuer: ServerID { get }

    /// The claims to sign.
    var claims: [String: JSONValue] { get }

    /// Parses claims whose signature has been verified.
    init(claims: [String: JSONValue]) throws(StatementFailure)
}

extension SignedStatement {
    /// The statement as text, signed by `identity`, which must be the issuer.
    public func issue(by identity: ServerIdentity) -> String {
        precondition(identity.id == issuer, "only \(issuer) signs in the name of \(issuer)")
        return CompactJWS.sign(claims, for: Self.use, by: identity)
    }

    /// The statement in `text`, when `key` signed it and it is made in the name of `issuer`. Times are not looked at.
    static func verified(_ text: String, issuer: ServerID, key: PublicKey) throws(StatementFailure) -> Self {
        let statement = try Self(claims: try CompactJWS.verify(text, for: use, key: key))
        guard statement.issuer == issuer else { throw .wrongIssuer }
        return statement
    }
}
