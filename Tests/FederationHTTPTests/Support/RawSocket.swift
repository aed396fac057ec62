import FederationCrypto
import NIOCore
import NIOPosix
import Testing

/// A request, as it goes over the wire.
struct RawRequest: Sendable {
    var method: String
    var path: String
    var headers: [String: String] = [:]
    var body: [UInt8]?

    var bytes: [UInt8] {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.count)\r\n" }
        return Array((text + "\r\n").utf8) + (body ?? [])
    }
}

/// An answer, as it came.
struct Answer: Sendable, CustomStringConvertible {
    let status: Int
    /// By name in lower case.
    let headers: [String: String]
    let body: [UInt8]

    /// - Parameter method: of the request; a HEAD has no body, whatever its Content-Length.
    init(_ bytes: [UInt8], to method: String) throws {
        let end = try #require(
            bytes.indices.first { bytes[$0...].starts(with: [13, 10, 13, 10]) },
            "no end of the head in \(bytes.count) bytes")
        let head = String(decoding: bytes[..<end], as: UTF8.self)
        let lines = head.split(separator: "\r\n").map(String.init)
        status = try #require(Int(lines[0].split(separator: " ")[1]))
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts[1].trimmingPrefix(" ").description
        }
        self.headers = headers
        body = Array(bytes[(end + 4)...])
        let announced = Int(headers["content-length"] ?? "0")
        let expected = method == "HEAD" || status == 304 || status == 204 ? 0 : announced
        #expect(body.count == expected, "\(method) \(status): the body is not as long as announced")
    }

    var json: JSONValue {
        get throws { try JSONValue.parse(body, maximumBytes: 64 << 20) }
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The code of problem details.
    var code: String? { (try? json)?["code"]?.text }

    var description: String { "\(status) \(text.prefix(400))" }
}

/// A TCP connection without any opinion.
enum RawSocket {
    /// Sends bytes and returns everything that comes until the other end hangs up.
    ///
    /// - Parameter closing: whether to say the end of one's own bytes, as a client does whose connection breaks.
    static func exchange(_ bytes: [UInt8], port: Int, closing: Bool) async throws -> [UInt8] {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await withThrowingTaskGroup(of: [UInt8].self) { group in
                group.addTask {
                    var received: [UInt8] = []
                    for try await part in inbound { received += part.readableBytesView }
                    return received
                }
                // The server may hang up before it has read everything.
                try? await outbound.write(ByteBuffer(bytes: bytes))
                if closing { outbound.finish() }
                return try await group.next() ?? []
            }
        }
    }
}
