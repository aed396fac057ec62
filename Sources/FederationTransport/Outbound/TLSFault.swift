/// What is wrong with the TLS of another server, as far as the text of the failure tells it: BoringSSL and its binding have no
/// codes for it.
public enum TLSFault: Hashable, Sendable, CaseIterable {
    /// Something answers, and not in TLS.
    case notSpoken
    /// The certificate is for another name.
    case otherName
    /// The certificate is expired, not valid yet, self-signed, or of an authority unknown here.
    case untrusted

    init?(_ failure: String) {
        if failure.contains("WRONG_VERSION_NUMBER") || failure.contains("HTTP_REQUEST") {
            self = .notSpoken
        } else if failure.contains("failedToValidateHostname") {
            self = .otherName
        } else if failure.contains("CERTIFICATE_VERIFY_FAILED") {
            self = .untrusted
        } else {
            return nil
        }
    }

    /// The last part of a refusal's code.
    var code: String {
        switch self {
        case .notSpoken: "notSpoken"
        case .otherName: "otherName"
        case .untrusted: "untrusted"
        }
    }

    /// In words, of the server that answers.
    var reason: String {
        switch self {
        case .notSpoken: "it does not speak TLS"
        case .otherName: "its certificate is for another name"
        case .untrusted: "its certificate is expired, not valid yet, self-signed, or of an authority unknown here"
        }
    }

    /// What to do about it, for the operator who has asked.
    var remedy: String {
        switch self {
        case .notSpoken: "write its address with http:// or ws://, or let it speak TLS"
        case .otherName: "use the name that the certificate is for, or get one there for this name"
        case .untrusted:
            "renew it there, set this machine's clock, or put its root into the file of tls.trustRoots, which replaces the system's roots"
        }
    }
}
