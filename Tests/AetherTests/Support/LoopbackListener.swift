import Foundation
import Synchronization
import Testing

/// Takes connections at a port of 127.0.0.1 for as long as the test holds it.
final class LoopbackListener: Sendable {
    private let descriptor: Mutex<Int32>

    init(at port: Int) throws {
        descriptor = Mutex(try #require(Loopback.listen(port), "port \(port) is not free"))
    }

    /// Hands over one connection after the other, on a thread of its own.
    func serve(_ connected: @escaping @Sendable (Int32) -> Void) {
        let listener = descriptor.withLock { $0 }
        Thread.detachNewThread {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                connected(connection)
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
}
