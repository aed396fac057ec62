import Foundation

/// This program again, in a process of its own: a command a line goes to its standard input, an answer a line comes from
/// its standard output, and the end of its input ends it.
final class Child {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let role: String
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var unread = Data()

    init(_ role: ChildRole, _ options: [String] = []) throws {
        // Of a child that has died the next command says so.
        signal(SIGPIPE, SIG_IGN)
        self.role = role.rawValue
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["--role", role.rawValue] + options
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    /// Sends a command and waits for its answer.
    ///
    /// - Throws: ``Failure`` with what the child says was wrong, or that it has ended.
    @discardableResult
    func ask(_ words: String...) throws -> String {
        let command = words.joined(separator: " ")
        try input.fileHandleForWriting.write(contentsOf: Data((command + "\n").utf8))
        while true {
            if let end = unread.firstIndex(of: 0x0A) {
                let line = String(decoding: unread[..<end], as: UTF8.self)
                unread = Data(unread[unread.index(after: end)...])
                guard line.hasPrefix(Commands.refusal) else { return line }
                throw Failure(description: "\(role), \(words[0]): \(line.dropFirst(Commands.refusal.count))")
            }
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Failure(description: "\(role) has ended before it answered \(words[0])") }
            unread.append(more)
        }
    }

    /// The answer to a command, read as JSON.
    func ask<Answer: Decodable>(_ type: Answer.Type, _ command: String) throws -> Answer {
        try JSONDecoder().decode(type, from: Data(try ask(command).utf8))
    }

    /// The answer to a command, read as a number.
    func number(_ command: String) throws -> Double {
        let answer = try ask(command)
        guard let number = Double(answer) else { throw Failure(description: "\(role), \(command): '\(answer)'") }
        return number
    }

    /// Ends the process and waits until it has let go of everything.
    func end() {
        _ = try? ask(Commands.end)
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}

/// What this program can be in a process of its own.
enum ChildRole: String {
    /// One of the two servers of a crossing.
    case handoff
    /// A server with many peers.
    case hub
    /// The many peers of a server.
    case crowd
}

/// The other end of ``Child``: what the process that has started this one asks for.
enum Commands {
    static let end = "end"
    static let refusal = "refused "

    /// Answers every command with what `body` returns for its words, until there are no more.
    static func answer(_ body: ([String]) async throws -> String) async {
        let (lines, arrived) = AsyncStream.makeStream(of: [String].self)
        // A thread of its own: reading blocks.
        Thread.detachNewThread {
            while let line = readLine() { arrived.yield(line.split(separator: " ").map(String.init)) }
            arrived.finish()
        }
        for await words in lines {
            guard let command = words.first, command != end else { break }
            do {
                say(try await body(words))
            } catch {
                say(refusal + "\(error)".replacingOccurrences(of: "\n", with: " "))
            }
        }
    }

    /// Says that everything is closed; the last thing that a child does.
    static func sayEnded() { say(end) }

    /// A value as one line of JSON.
    static func json(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    private static func say(_ line: String) {
        // When nobody reads any more, the input has ended as well.
        try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
    }
}
