import Foundation
import Synchronization
import Testing

/// Stands before a server as a badly configured proxy does: requests and answers pass, WebSockets do not, until it is told
/// to let them.
final class Door: Sendable {
    let port: Int
    private let listener: LoopbackListener
    private let isOpen = Mutex(false)

    /// - Parameter port: where it stands; nil for a port on which nobody listens.
    init(to server: Int, at port: Int? = nil) throws {
        let port = try port ?? Loopback.freePort()
        self.port = port
        listener = try LoopbackListener(at: port)
        listener.serve { [weak self] connection in
            let passesAll = self?.isOpen.withLock { $0 } == true
            Thread.detachNewThread { Self.serve(connection, to: server, passesAll: passesAll) }
        }
    }

    /// From now on WebSockets pass, too.
    func open() { isOpen.withLock { $0 = true } }

    func end() { listener.end() }

    private static func serve(_ client: Int32, to server: Int, passesAll: Bool) {
        defer { close(client) }
        guard let head = receive(from: client) else { return }
        let isWebSocket = String(decoding: head, as: UTF8.self).lowercased().contains("\r\nupgrade: websocket")
        guard passesAll || !isWebSocket, let there = Loopback.connect(server) else { return }
        defer { close(there) }
        guard pass(head, to: there) else { return }
        let back = DispatchGroup()
        back.enter()
        Thread.detachNewThread {
            while let bytes = receive(from: there), pass(bytes, to: client) {}
            shutdown(client, Int32(SHUT_RDWR))
            back.leave()
        }
        while let bytes = receive(from: client), pass(bytes, to: there) {}
        shutdown(there, Int32(SHUT_RDWR))
        back.wait()
    }

    private static func receive(from socket: Int32) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        let count = recv(socket, &buffer, buffer.count, 0)
        return count > 0 ? Array(buffer[..<count]) : nil
    }

    private static func pass(_ bytes: [UInt8], to socket: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(socket, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
