/// Steps of a crossing, as a person reads them.
enum CrossingText {
    static func line(of step: JSONText.Fields) -> String {
        line(
            step: step["step"].text(), ok: step["ok"].bool == true, detail: step["detail"].text(""),
            milliseconds: step["ms"].double ?? 0)
    }

    static func line(step: String, ok: Bool, detail: String, milliseconds: Double) -> String {
        let mark = ok ? Terminal.styled("✓", .green) : Terminal.styled("✗", .red)
        let time = Terminal.styled(self.time(milliseconds), .dim)
        return "  \(mark) \(Terminal.styled(step.padded(to: 12), .bold)) \(time)  \(detail)"
    }

    /// Ten characters: `   12.3 ms`.
    static func time(_ milliseconds: Double) -> String {
        let tenths = (milliseconds * 10).rounded() / 10
        let text = "\(tenths) ms"
        return String(repeating: " ", count: max(0, 10 - text.count)) + text
    }
}
