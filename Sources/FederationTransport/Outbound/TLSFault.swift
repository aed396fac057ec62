/// What is wrong with the TLS of another server, as far as the text of the failure tells it: BoringSSL and its binding have no
/// codes for it.
enum TLSFault {
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
}
