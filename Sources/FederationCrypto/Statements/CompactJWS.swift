public import FederationModel

/// Compact JSON Web Signatures with Ed25519 (RFC 7515, RFC 8037 §3.1), and nothing else of JOSE.
///
/// The protected header is always `{"alg":"EdDSA","kid":…,"typ":…}` and has no other member: the algorithm is not the
/// sender's choice, `typ` says what kind of statement it is (RFC 8725 §3.11) and `kid` is the signing key in hex.
public enum CompactJWS {
    /// Signs `claims` as a statement of `use`.
    static func sign(_ claims: [String: JSONValue], for use: SignatureUse, by identity: ServerIdentity) -> String {
        guard let header = identity.statementHeaders[use] else { preconditionFailure("\(use) is not a statement") }
        let payload = JSONValue.object(claims).serialized()
        let input = "\(header).\(Base64URL.encode(payload))"
        do {
            // The header is the one that `sign(_:for:)` would ask for.
            return "\(input).\(Base64URL.encode(try identity.signature(over: Array(input.utf8))))"
        } catch {
            preconditionFailure("a statement can be signed: \(error)")
        }
    }

    /// The claims of `text`, when it is a statement of `use` that `key` signed.
    static func verify(
        _ text: String, for use: SignatureUse, key: PublicKey
    ) throws(StatementFailure) -> [String: JSONValue] {
        let parts = try Parts(text)
        try parts.requireHeader(of: use)
        try parts.requireSignature(of: key)
        return parts.claims
    }

    /// A statement of `use` that names its own key and is signed with it. It is taken apart once: to do that again for the
    /// signature would cost a good part of what checking the signature does.
    ///
    /// - Parameters:
    ///   - read: makes the statement of its claims, which are not proven yet.
    ///   - key: the key that the statement names.
    static func verify<Statement>(
        _ text: String, for use: SignatureUse, read: ([String: JSONValue]) throws(StatementFailure) -> Statement,
        key: (Statement) -> PublicKey
    ) throws(StatementFailure) -> Statement {
        let parts = try Parts(text)
        try parts.requireHeader(of: use)
        let statement = try read(parts.claims)
        try parts.requireSignature(of: key(statement))
        return statement
    }

    /// The claims of `text` without any proof: for finding out whose key to verify with, and for nothing else.
    static func unverified(_ text: String, for use: SignatureUse) throws(StatementFailure) -> [String: JSONValue] {
        let parts = try Parts(text)
        try parts.requireHeader(of: use)
        return parts.claims
    }

    /// The key that `text` says it is signed with, without any proof; nil when it does not parse.
    public static func unverifiedKey(_ text: String) -> PublicKey? {
        (try? Parts(text))?.keyID.flatMap { PublicKey($0) }
    }

    /// Whether `input` is a signing input whose header says `use`.
    static func hasHeader(of use: SignatureUse, _ input: [UInt8]) -> Bool {
        let segments = input.split(separator: 0x2E, maxSplits: 2, omittingEmptySubsequences: false)
        guard segments.count == 2, let bytes = Base64URL.decode(segments[0]), let header = try? parse(bytes) else {
            return false
        }
        return header["alg"] == .string("EdDSA") && header["typ"] == .string(use.label)
    }

    /// The protected header of a statement of `use` under `key`, in base64url.
    static func header(_ use: SignatureUse, key: PublicKey) -> String {
        precondition(use.isStatement, "\(use) is not a statement")
        let members: [String: JSONValue] = [
            "alg": .string("EdDSA"), "kid": .string(key.description), "typ": .string(use.label),
        ]
        return Base64URL.encode(JSONValue.object(members).serialized())
    }

    private static func parse(_ bytes: [UInt8]) throws(StatementFailure) -> [String: JSONValue] {
        let value: JSONValue
        do {
            value = try JSONValue.parse(bytes, maximumBytes: Limits.jwsBytes)
        } catch {
            throw .malformed(error.description)
        }
        guard let members = value.members else { throw .malformed("not a JSON object") }
        return members
    }

    private struct Parts {
        let header: [String: JSONValue]
        let claims: [String: JSONValue]
        let signature: [UInt8]
        let signingInput: [UInt8]
        var keyID: String? { header["kid"]?.text }

        init(_ text: String) throws(StatementFailure) {
            guard text.utf8.count <= Limits.jwsBytes else { throw .oversized(text.utf8.count) }
            let bytes = Array(text.utf8)
            guard let first = bytes.firstIndex(of: 0x2E),
                let second = bytes[(first + 1)...].firstIndex(of: 0x2E), !bytes[(second + 1)...].contains(0x2E)
            else { throw .malformed("not three parts with dots between") }
            guard let header = Base64URL.decode(bytes[..<first]),
                let payload = Base64URL.decode(bytes[(first + 1)..<second]),
                let signature = Base64URL.decode(bytes[(second + 1)...])
            else { throw .malformed("not base64url without padding") }
            self.header = try parse(header)
            claims = try parse(payload)
            guard signature.count == 64 else { throw .malformed("the signature has \(signature.count) bytes, not 64") }
            self.signature = signature
            signingInput = Array(bytes[..<second])
        }

        func requireHeader(of use: SignatureUse) throws(StatementFailure) {
            // The header is all that keeps a statement apart from other uses; those that are none have their label elsewhere.
            precondition(use.isStatement, "\(use) is not a statement")
            guard header["alg"] == .string("EdDSA") else { throw .malformed("alg is not EdDSA") }
            guard header["typ"] == .string(use.label) else { throw .malformed("typ is not \(use.label)") }
            guard keyID != nil else { throw .malformed("kid is missing") }
            guard header.count == 3 else { throw .malformed("the header has members besides alg, kid and typ") }
        }

        /// Behind ``requireHeader(of:)``, which has found what ``PublicKey/isValidSignature(_:for:over:)`` would look
        /// for in the header once more.
        func requireSignature(of key: PublicKey) throws(StatementFailure) {
            guard keyID == key.description else { throw .badSignature }
            guard key.isValidEd25519(signature, over: signingInput) else { throw .badSignature }
        }
    }
}
