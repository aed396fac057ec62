import AsyncHTTPClient
import FederationModel
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import NIOPosix

/// Talks to a running server over its HTTP API, as an operator's script would.
struct AdminClient: Sendable {
    /// `http://host:port`.
    let base: String
    /// nil for what anybody may ask.
    let key: String?
    /// What to do when nobody answers.
    var remedy = "start it with: aether serve"

    var http = Self.plain

    /// Says at once that nobody listens, where the standard one tries for a minute.
    static var settings: HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(10)
        return configuration
    }

    /// One for the whole program.
    static let plain = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)

    /// An answer with a status of 2xx.
    struct Response: Sendable {
        let status: Int
        let body: Data
        let headers: [String: String]

        var json: JSONText { JSONText(data: body) }
    }

    /// What a request carries.
    enum Body {
        case none
        case json([String: Any])
        case bytes(Data, type: String)
        /// A file of this size, streamed.
        case file(String, size: Int64)
    }

    func get(_ path: String) async throws -> Response {
        try await request("GET", path)
    }

    /// Sends a request; throws the server's own refusal when it answers with a problem.
    func request(
        _ method: String, _ path: String, body: Body = .none, headers: [String: String] = [:],
        timeout: TimeAmount = .seconds(60)
    ) async throws -> Response {
        var request = HTTPClientRequest(url: base + path)
        request.method = .RAW(value: method)
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) { request.headers.add(name: name, value: value) }
        try attach(body, to: &request)
        let response: HTTPClientResponse
        let data: Data
        do {
            response = try await http.execute(request, timeout: timeout)
            data = Data(buffer: try await response.body.collect(upTo: 64 << 20))
        } catch {
            throw unreachable(error)
        }
        guard (200..<300).contains(Int(response.status.code)) else { throw refusal(response.status, data) }
        let fields = Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first }
        return Response(status: Int(response.status.code), body: data, headers: fields)
    }

    /// Hands over a body of any size in the pieces in which it comes.
    func download(_ path: String, _ take: ([UInt8]) -> Void) async throws {
        var request = HTTPClientRequest(url: base + path)
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        do {
            let response = try await http.execute(request, timeout: .hours(1))
            guard (200..<300).contains(Int(response.status.code)) else {
                throw refusal(response.status, Data(buffer: try await response.body.collect(upTo: 1 << 20)))
            }
            for try await part in response.body { take(Array(part.readableBytesView)) }
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw unreachable(error)
        }
    }

    /// Hands over an answer that goes on, in the pieces in which it comes, until the server ends it.
    func follow(_ path: String, _ take: ([UInt8]) throws -> Void) async throws {
        var request = HTTPClientRequest(url: base + path)
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        do {
            let response = try await http.execute(request, timeout: .hours(365 * 24))
            guard (200..<300).contains(Int(response.status.code)) else {
                throw refusal(response.status, Data(buffer: try await response.body.collect(upTo: 1 << 20)))
            }
            for try await part in response.body { try take(Array(part.readableBytesView)) }
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw unreachable(error)
        }
    }

    /// Every entry of a listing, page by page, as one answer.
    func all(_ path: String, _ name: String) async throws -> Response {
        var entries: [Any] = []
        var page = try await get(path + (path.contains("?") ? "&" : "?") + "limit=1000")
        while true {
            let object = try? JSONSerialization.jsonObject(with: page.body) as? [String: Any]
            entries += object?[name] as? [Any] ?? []
            guard let next = object?["next"] as? String else { break }
            page = try await get(path + (path.contains("?") ? "&" : "?") + "limit=1000&after=\(next)")
        }
        let body = try JSONSerialization.data(withJSONObject: [name: entries])
        return Response(status: page.status, body: body, headers: page.headers)
    }

    private func attach(_ body: Body, to request: inout HTTPClientRequest) throws {
        switch body {
        case .none: break
        case .json(let object):
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(data: try JSONSerialization.data(withJSONObject: object)))
        case .bytes(let data, let type):
            request.headers.add(name: "Content-Type", value: type)
            request.body = .bytes(ByteBuffer(data: data))
        case .file(let path, let size):
            request.headers.add(name: "Content-Type", value: "application/octet-stream")
            request.body = .stream(FileChunks(path: path), length: .known(size))
        }
    }

    private func refusal(_ status: HTTPResponseStatus, _ data: Data) -> Refusal {
        let problem = JSONText(data: data).fields
        return Refusal(
            Self.kind(Int(status.code)),
            code: problem["code"].string.flatMap { Refusal.isCode($0) ? $0 : nil } ?? "http.status\(status.code)",
            reason: problem["detail"].string ?? problem["title"].string ?? "the server answered \(status)",
            remedy: problem["remedy"].string ?? "see the server's log",
            step: problem["step"].string.flatMap(CrossingStep.init(rawValue:)))
    }

    private static func kind(_ status: Int) -> Refusal.Kind {
        switch status {
        case 404: .notFound
        case 401, 403: .forbidden
        case 409, 412: .conflict
        case 429: .overloaded
        case 500...: .unavailable
        default: .invalid
        }
    }

    private func unreachable(_ error: any Error) -> Refusal {
        Refusal(
            .unavailable, code: "server.unreachable", reason: "no server answers at \(base): \(Self.cause(error))",
            remedy: remedy)
    }

    /// Why a connection failed, in words.
    static func cause(_ error: any Error) -> String {
        switch error {
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case let error as NIOConnectionError:
            if let last = error.connectionErrors.last { return cause(last.error) }
            return "the name \(error.host) is not known"
        case let error as HTTPClientError where [.connectTimeout, .deadlineExceeded, .readTimeout].contains(error):
            return "it does not answer in time"
        default: return oneLine("\(error)")
        }
    }
}

/// A file in pieces, for uploads of any size.
private struct FileChunks: AsyncSequence, Sendable {
    let path: String

    struct AsyncIterator: AsyncIteratorProtocol {
        let handle: FileHandle?

        mutating func next() async throws -> ByteBuffer? {
            guard let handle else { throw CocoaError(.fileReadNoSuchFile) }
            guard let data = try handle.read(upToCount: 1 << 18), !data.isEmpty else {
                try handle.close()
                return nil
            }
            return ByteBuffer(data: data)
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(handle: FileHandle(forReadingAtPath: path))
    }
}
