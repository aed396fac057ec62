import NIOCore

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Why a connection failed, in one line for a person.
func connectionFailureText(_ error: any Error) -> String {
    let text =
        switch error {
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case let error as ChannelError: "the connection ended (\(error))"
        default: String(describing: error)
        }
    return String(text.split(whereSeparator: \.isNewline).joined(separator: " ").prefix(200))
}

/// The same of a fetch, with what TLS most often says in words.
func fetchFailureText(_ error: any Error) -> String {
    let text = connectionFailureText(error)
    if text.contains("failedToValidateHostname") { return "its certificate is for another name" }
    if text.contains("CERTIFICATE_VERIFY_FAILED") {
        return "its certificate is expired, not valid yet, self-signed, or of an authority unknown here"
    }
    if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") { return "it does not speak TLS" }
    return text
}
