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

    static func say(_ line: String = "") {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    static func error(_ line: String) {
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    /// Replaces the progress line; an empty text removes it. Quiet when piped.
    static func progress(_ text: String) {
        guard showsProgress else { return }
        FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8))
    }

    private static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }
}
