import Foundation
import Synchronization
import Testing

/// Something at a port that is not the server whose port it is, for as long as the test holds it.
final class Impostor: Sendable {
    private let listener: LoopbackListener
    private let said = Mutex<[String]>([])

    /// What it was told, connection by connection.
    var heard: [String] { said.withLock { $0 } }

    /// - Parameter answer: what it sends to everybody who says something; nil when it says nothing and takes no connection
    ///   out of the kernel's hands.
    init(at port: Int, answering answer: String?) throws {
        listener = try LoopbackListener(at: port)
        guard let answer else { return }
        listener.serve { [weak self] connection in
            var buffer = [UInt8](repeating: 0, count: 1 << 12)
            let count = max(recv(connection, &buffer, buffer.count, 0), 0)
            self?.said.withLock { $0.append(String(decoding: buffer[..<count], as: UTF8.self)) }
            let bytes = Array(answer.utf8)
            _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            shutdown(connection, Int32(SHUT_WR))
            // Until the other end has read it: a socket that is closed with unread bytes takes back what it has sent.
            while recv(connection, &buffer, buffer.count, 0) > 0 {}
            close(connection)
        }
    }

    func end() { listener.end() }

    /// What a command takes for the answer of a server that has nothing to list.
    static let empty =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    static let notFound = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
}
