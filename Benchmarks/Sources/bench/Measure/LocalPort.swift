import Foundation

/// The plainest client there is, for ports of this machine. It blocks.
enum LocalPort {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let stream = Int32(SOCK_STREAM.rawValue)

    /// A port on which nothing listens now.
    static func free() throws -> Int {
        let descriptor = socket(AF_INET, stream, 0)
        guard descriptor >= 0 else { throw Failure(description: "no socket: \(errno)") }
        defer { close(descriptor) }
        var address = Self.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 ? getsockname(descriptor, address, &length) : -1
            }
        }
        guard result == 0 else { throw Failure(description: "no free port: \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// Whether a request for `path` is answered with 200.
    static func answers(_ port: Int, _ path: String) -> Bool {
        let descriptor = socket(AF_INET, stream, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = Self.address(port)
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { return false }
        let request = Array("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return false }
        let expected = Array("HTTP/1.1 200".utf8)
        var answer: [UInt8] = []
        while answer.count < expected.count {
            var part = [UInt8](repeating: 0, count: 1_024)
            let count = recv(descriptor, &part, part.count, 0)
            guard count > 0 else { return false }
            answer += part.prefix(count)
        }
        return answer.starts(with: expected)
    }

    private static func address(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }
}
