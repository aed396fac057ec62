import FederationModel
import Foundation

/// Reads server-sent events (WHATWG HTML §9.2) from the pieces in which they arrive. Comments are left out.
struct EventReader {
    /// One event: its name, and its data as it came.
    struct Event: Equatable {
        let name: String
        let data: String
    }

    private var line: [UInt8] = []
    private var name = "message"
    private var data: [String] = []

    /// The events that are complete with these bytes.
    mutating func read(_ bytes: some Sequence<UInt8>) throws(Refusal) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            guard byte == 0x0A else {
                // Far more than a refusal and a player take.
                guard line.count < Limits.jsonBytes else {
                    throw Refusal(
                        .unavailable, code: "server.confused", reason: "the server sent an event without an end",
                        remedy: "check that both ends are of the same version")
                }
                line.append(byte)
                continue
            }
            if let event = end(of: String(decoding: line, as: UTF8.self)) { events.append(event) }
            line = []
        }
        return events
    }

    private mutating func end(of line: String) -> Event? {
        guard !line.isEmpty else {
            defer { (name, data) = ("message", []) }
            return data.isEmpty ? nil : Event(name: name, data: data.joined(separator: "\n"))
        }
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let value = parts.count == 2 ? String(parts[1].hasPrefix(" ") ? parts[1].dropFirst() : parts[1]) : ""
        switch parts[0] {
        case "event": name = value
        case "data": data.append(value)
        default: break
        }
        return nil
    }
}

/// Events of a world, as a person reads them: one line each.
enum EventText {
    static func line(_ event: EventReader.Event) -> String {
        let fields = JSONText(data: Data(event.data.utf8)).fields
        let name = Terminal.styled(event.name.padded(to: 10), .bold)
        guard event.name != "hello" else {
            let guarded = fields["guarding"].bool == true ? "; newcomers wait for an answer" : ""
            return "\(name)  \(fields["world"].text()): \(fields["players"].text()) players\(guarded)"
        }
        let handoff = fields["handoff"].string.map { Terminal.styled("  \($0)", .dim) } ?? ""
        return "\(name)  \(fields["player"].text())\(detail(of: event.name, fields))\(handoff)"
    }

    private static func detail(of name: String, _ fields: JSONText.Fields) -> String {
        switch name {
        case "arriving": " from \(fields["source"].text()), epoch \(fields["epoch"].text())"
        case "admitted", "departing": ", epoch \(fields["epoch"].text())"
        case "departed": " to \(fields["server"].text()), epoch \(fields["epoch"].text())"
        case "returned", "turnedAway": ": \(fields["reason"].text()) [\(fields["code"].text())]"
        default: ""
        }
    }
}
