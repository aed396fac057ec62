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
    return switch TLSFault(text) {
    case .notSpoken: "it does not speak TLS"
    case .otherName: "its certificate is for another name"
    case .untrusted: "its certificate is expired, not valid yet, self-signed, or of an authority unknown here"
    case nil: text
    }
}
