import AsyncHTTPClient
import FederationModel
import FederationService
import Foundation
import NIOCore
import NIOFoundationCompat

/// Talks to registries over HTTP, within the bounds of ``RegistryLink``.
struct HTTPRegistryLink: RegistryLink {
    /// How long a whole answer may take.
    var timeout: TimeAmount = .seconds(10)
    /// Bytes of an answer.
    var maximumBytes = Limits.registryAnswerBytes

    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(5)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    func ask(_ request: RegistryRequest) async throws(Refusal) -> [UInt8] {
        var outgoing = HTTPClientRequest(url: request.address + request.path)
        outgoing.method = .RAW(value: request.method)
        if let statement = request.statement {
            outgoing.headers.add(name: "Content-Type", value: "application/jose")
            outgoing.body = .bytes(ByteBuffer(string: statement))
        }
        let status: Int
        let bytes: [UInt8]
        do {
            let response = try await Self.http.execute(outgoing, deadline: .now() + timeout)
            status = Int(response.status.code)
            bytes = Array(buffer: try await response.body.collect(upTo: maximumBytes))
        } catch {
            throw Refusal(
                .unavailable, code: "registry.unreachable",
                reason: "no registry answers at \(request.address): \(AdminClient.cause(error))",
                remedy: "check the address; everything else goes on without it")
        }
        guard (200..<300).contains(status) else { throw Self.refusal(status, bytes, request) }
        return bytes
    }

    private static func refusal(_ status: Int, _ bytes: [UInt8], _ request: RegistryRequest) -> Refusal {
        let problem = JSONText(data: Data(bytes)).fields
        func line(_ text: String?) -> String? { text.map { String(oneLine($0).prefix(300)) } }
        return Refusal(
            status == 429 ? .overloaded : .unavailable,
            code: problem["code"].string.flatMap { Refusal.isCode($0) ? $0 : nil } ?? "http.status\(status)",
            reason: line(problem["detail"].string) ?? "\(request.address) answers with status \(status)",
            remedy: line(problem["remedy"].string) ?? "check the address; it may be another kind of server")
    }
}
