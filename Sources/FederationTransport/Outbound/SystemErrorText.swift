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
