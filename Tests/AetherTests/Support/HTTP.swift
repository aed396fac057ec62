import Foundation
import Testing

/// An answer of a server's HTTP API.
struct Answer: Sendable {
    let status: Int
    let body: Data

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSON { JSON(body) }
}

/// JSON, read leniently: what is not there reads as nil.
struct JSON: @unchecked Sendable, CustomStringConvertible {
    private let value: Any?

    init(_ data: Data) {
        value = try? JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed)
    }

    init(_ text: String) { self.init(Data(text.utf8)) }

    private init(value: Any?) { self.value = value }

    var isValid: Bool { value != nil }
    subscript(_ key: String) -> JSON { JSON(value: (value as? [String: Any])?[key]) }
    var list: [JSON] { (value as? [Any])?.map { JSON(value: $0) } ?? [] }
    var keys: [String] { (value as? [String: Any])?.keys.sorted() ?? [] }
    var string: String? { value as? String }
    var int: Int? { (value as? NSNumber)?.intValue }
    var bool: Bool? { value as? Bool }

    /// With sorted keys, for comparing.
    var description: String {
        guard let value,
            let data = try? JSONSerialization.data(
                withJSONObject: value, options: [.sortedKeys, .fragmentsAllowed, .withoutEscapingSlashes])
        else { return "nothing" }
        return String(decoding: data, as: UTF8.self)
    }

    /// Only these members.
    func members(_ names: String...) -> String {
        names.map { "\($0)=\(self[$0])" }.joined(separator: " ")
    }
}

/// HTTP/1.1 in its smallest form: one request, one connection, a deadline.
enum HTTP {
    struct Failure: Error { let what: String }

    static func send(
        _ method: String, _ path: String, port: Int, key: String? = nil, headers: [String: String] = [:],
        body: Data? = nil
    ) async throws -> Answer {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
        if let key { head += "Authorization: Bearer \(key)\r\n" }
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        let request = Data((head + "\r\n").utf8) + (body ?? Data())
        let received = await offPool { Result { try exchange(request, port: port) } }
        return try parse(try received.get())
    }

    /// Begins a request whose body never comes.
    ///
    /// - Returns: its socket, once the server waits for the body.
    static func beginUpload(port: Int, key: String) async throws -> Int32 {
        let head =
            "PUT /v1/assets/\(String(repeating: "0", count: 64)) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n"
            + "Authorization: Bearer \(key)\r\nContent-Type: application/octet-stream\r\n"
            + "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n"
        guard let descriptor = Loopback.connect(port) else {
            throw Failure(what: "connect: \(String(cString: strerror(errno)))")
        }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let bytes = Array(head.utf8)
        let sent = Foundation.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        let answer = await offPool {
            var buffer = [UInt8](repeating: 0, count: 1_024)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        }
        guard sent == bytes.count, answer.hasPrefix("HTTP/1.1 100 ") else {
            close(descriptor)
            throw Failure(what: "no interim answer: \(answer)")
        }
        return descriptor
    }

    private static func exchange(_ request: Data, port: Int) throws -> Data {
        guard let descriptor = Loopback.connect(port) else {
            throw Failure(what: "connect: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var sent = 0
        while sent < request.count {
            let count = request.withUnsafeBytes {
                Foundation.send(
                    descriptor, $0.baseAddress?.advanced(by: sent), request.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { break }
            sent += count
        }
        var received = Data()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count >= 0 else { throw Failure(what: "recv: \(String(cString: strerror(errno)))") }
            if count == 0 { return received }
            received.append(contentsOf: buffer[..<count])
        }
    }

    private static func parse(_ data: Data) throws -> Answer {
        guard let end = data.range(of: Data("\r\n\r\n".utf8)) else { throw Failure(what: "no answer") }
        let head = String(decoding: data[..<end.lowerBound], as: UTF8.self)
        guard let status = head.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw Failure(what: "no status: \(head)")
        }
        let body = Data(data[end.upperBound...])
        guard head.lowercased().contains("transfer-encoding: chunked") else {
            return Answer(status: status, body: body)
        }
        var whole = Data()
        var rest = body
        while let line = rest.range(of: Data("\r\n".utf8)),
            let size = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16), size > 0
        {
            whole.append(rest[line.upperBound..<line.upperBound + size])
            rest = Data(rest[(line.upperBound + size + 2)...])
        }
        return Answer(status: status, body: whole)
    }
}

/// Ports of 127.0.0.1.
enum Loopback {
    static func address(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return address
    }

    /// A connected socket; nil, and `errno`, when nobody listens.
    static func connect(_ port: Int) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var address = address(port)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if connected == 0 { return descriptor }
        let cause = errno
        close(descriptor)
        errno = cause
        return nil
    }

    /// A socket that listens, for as long as the test holds it; nil when the port is taken.
    static func listen(_ port: Int) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var address = address(port)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if bound == 0, Foundation.listen(descriptor, 8) == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    /// A port on which nobody listens, below those that the system gives to outgoing connections: a server that is
    /// started again finds it free.
    static func freePort() throws -> Int {
        for _ in 0..<200 {
            let port = Int.random(in: 20_000..<32_000)
            guard let descriptor = listen(port) else { continue }
            close(descriptor)
            return port
        }
        throw HTTP.Failure(what: "no free port")
    }
}
