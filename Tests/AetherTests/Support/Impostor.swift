import Foundation
import Synchronization
import Testing

/// Something at a port that is not the server whose port it is, for as long as the test holds it.
final class Impostor: Sendable {
    private let descriptor: Mutex<Int32>

    /// - Parameter answer: what it sends to everybody who says something; nil when it says nothing and takes no connection
    ///   out of the kernel's hands.
    init(at port: Int, answering answer: String?) throws {
        let listener = try #require(Loopback.listen(port), "port \(port) is not free")
        descriptor = Mutex(listener)
        guard let answer else { return }
        Thread.detachNewThread {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                var buffer = [UInt8](repeating: 0, count: 1 << 12)
                _ = recv(connection, &buffer, buffer.count, 0)
                let bytes = Array(answer.utf8)
                _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                shutdown(connection, Int32(SHUT_WR))
                // Until the other end has read it: a socket that is closed with unread bytes takes back what it has sent.
                while recv(connection, &buffer, buffer.count, 0) > 0 {}
                close(connection)
            }
        }
    }

    func end() {
        descriptor.withLock { descriptor in
            guard descriptor >= 0 else { return }
            shutdown(descriptor, Int32(SHUT_RDWR))
            close(descriptor)
            descriptor = -1
        }
    }

    deinit { end() }

    static let notFound = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
}
