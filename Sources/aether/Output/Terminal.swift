import FederationModel
import Foundation

/// What a person reads. Colours only on a terminal and never with NO_COLOR (no-color.org).
enum Terminal {
    static let hasColour = isTerminal(1) && ProcessInfo.processInfo.environment["NO_COLOR"]?.isEmpty != false
    /// Whether progress may be drawn.
    static let showsProgress = isTerminal(2)

    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    static func styled(_ text: String, _ style: Style) -> String {
        hasColour ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// Prints a line on standard output. Where that fails nobody reads on, and the program ends.
    static func say(_ line: String = "") {
        if let failure = put(line) { end(failure) }
    }

    /// Prints a line on standard output, for callers who have something to tidy up before the program ends.
    ///
    /// - Returns: why it could not be printed.
    static func put(_ line: String) -> OutputFailure? {
        write(line + "\n", to: 1).map(OutputFailure.init)
    }

    /// Ends the program after standard output has failed: quietly when its reader has gone, as `head` does when it has what
    /// it wants, with the exit code that a shell gives a program that SIGPIPE has ended.
    static func end(_ failure: OutputFailure) -> Never {
        guard failure.code != EPIPE else { exit(128 + SIGPIPE) }
        error("aether: \(failure.refusal)")
        exit(1)
    }

    /// Prints a line on standard error, if that can be written.
    static func error(_ line: String) {
        _ = write(line + "\n", to: 2)
    }

    /// Replaces the progress line; an empty text removes it. Quiet when piped.
    static func progress(_ text: String) {
        guard showsProgress else { return }
        _ = write("\r\u{1B}[K\(text)", to: 2)
    }

    /// Writes all of a text.
    ///
    /// - Returns: the error number where that failed.
    private static func write(_ text: String, to descriptor: Int32) -> Int32? {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Foundation.write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count > 0 {
                written += count
                continue
            }
            switch count < 0 ? errno : EIO {
            case EINTR: continue
            case EAGAIN:
                // Whoever shares it has made it non-blocking.
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, -1)
            case let code: return code
            }
        }
        return nil
    }

    private static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }
}

/// Standard output could not be written.
struct OutputFailure: Error {
    /// The error number: EPIPE when its reader has gone.
    let code: Int32

    var refusal: Refusal {
        Refusal(
            .unavailable, code: "output.failed",
            reason: "standard output could not be written: \(String(cString: strerror(code)))",
            remedy: "send it elsewhere; what the command had to change may be changed already")
    }
}
