import FederationCrypto
import FederationModel
import FederationService
import TestKit
import Testing

@testable import FederationHTTP

@Suite("Assets over HTTP", .timeLimit(.minutes(patience)))
struct AssetTests {
    /// Longer than the pieces in which assets are read.
    static let content = (0..<700_001).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    static let hash = ContentHash.of(content)

    private func withAsset(_ body: @escaping @Sendable (TestServer, String) async throws -> Void) async throws {
        try await TestServer.run { server async throws in
            await server.assets.add(Self.content)
            try await body(server, "/v1/assets/\(Self.hash)")
        }
    }

    @Test("an asset is served whole, for ever, and without a guess at its type")
    func whole() async throws {
        try await withAsset { server, path async throws in
            let answer = try await server.request("GET", path, as: .stranger)
            #expect(answer.status == 200 && answer.body == Self.content)
            #expect(answer.headers["etag"] == "\"\(Self.hash)\"")
            #expect(answer.headers["cache-control"] == "public, max-age=31536000, immutable")
            #expect(answer.headers["content-type"] == "application/octet-stream")
            #expect(answer.headers["x-content-type-options"] == "nosniff")
            #expect(answer.headers["accept-ranges"] == "bytes")
            #expect(answer.headers["content-security-policy"]?.contains("sandbox") == true)
            let typed = try await server.request("GET", path + "?type=image/png", as: .stranger)
            #expect(typed.headers["content-type"] == "image/png")
        }
    }

    @Test("HEAD says the same without the body, and knows no ranges")
    func head() async throws {
        try await withAsset { server, path async throws in
            let answer = try await server.request("HEAD", path, as: .stranger, ["Range": "bytes=0-9"])
            #expect(answer.status == 200 && answer.body.isEmpty)
            #expect(answer.headers["content-length"] == "\(Self.content.count)")
        }
    }

    @Test(
        "ranges are parts of the whole",
        arguments: [
            ("bytes=0-0", 0..<1), ("bytes=262143-262144", 262_143..<262_145), ("bytes=100-", 100..<700_001),
            ("bytes=-5", 699_996..<700_001), ("bytes=700000-800000", 700_000..<700_001),
        ])
    func ranges(_ field: String, _ range: Range<Int>) async throws {
        try await withAsset { server, path async throws in
            let answer = try await server.request("GET", path, as: .stranger, ["Range": field])
            #expect(answer.status == 206 && answer.body == Array(Self.content[range]))
            #expect(answer.headers["content-range"] == "bytes \(range.lowerBound)-\(range.upperBound - 1)/700001")
        }
    }

    @Test("a range behind the end is refused with the size")
    func unsatisfiable() async throws {
        try await withAsset { server, path async throws in
            let answer = try await server.request("GET", path, as: .stranger, ["Range": "bytes=700001-"])
            #expect(answer.status == 416 && answer.code == "asset.range")
            #expect(answer.headers["content-range"] == "bytes */700001")
        }
    }

    @Test(
        "conditions decide what is sent",
        arguments: [
            (["If-None-Match": "TAG"], 304), (["If-None-Match": "*"], 304), (["If-None-Match": "\"x\""], 200),
            (["If-None-Match": "TAG", "Range": "bytes=0-1"], 304), (["If-Range": "TAG", "Range": "bytes=0-1"], 206),
            (["If-Range": "\"x\"", "Range": "bytes=0-1"], 200), (["If-Range": "W/TAG", "Range": "bytes=0-1"], 200),
            (["Range": "bytes=0-1,3-4"], 200), (["Range": "nonsense"], 200),
        ])
    func conditions(_ headers: [String: String], _ status: Int) async throws {
        try await withAsset { server, path async throws in
            let sent = headers.mapValues { $0.replacing("TAG", with: "\"\(Self.hash)\"") }
            let answer = try await server.request("GET", path, as: .stranger, sent)
            #expect(answer.status == status)
            if status == 304 { #expect(answer.body.isEmpty && answer.headers["etag"] == "\"\(Self.hash)\"") }
        }
    }

    @Test("an asset that vanishes while it is sent breaks the connection instead of the promise")
    func vanished() async throws {
        try await TestServer.run(held: { Vanishing(base: $0) }) { server async throws in
            await server.assets.add(Self.content)
            let request = RawRequest(method: "GET", path: "/v1/assets/\(Self.hash)")
            let received = try await server.exchange(request.bytes, closing: false)
            let head = String(decoding: received.prefix(15), as: UTF8.self)
            #expect(head == "HTTP/1.1 200 OK")
            #expect(received.count < Self.content.count)
        }
    }

    @Test("an upload is kept under its hash, and may be repeated")
    func upload() async throws {
        try await TestServer.run { server async throws in
            let path = "/v1/assets/\(Self.hash)"
            let first = try await server.request("PUT", path, body: Self.content)
            #expect(first.status == 201 && first.headers["location"] == path)
            #expect(try first.json == .object(["sha256": .string("\(Self.hash)"), "size": .integer(700_001)]))
            #expect(try await server.request("PUT", path, body: Self.content).status == 200)
            #expect(try await server.request("GET", path, as: .stranger).body == Self.content)
        }
    }

    @Test(
        "one that is damaged on disk is found when it is verified, and not held until it is uploaded again",
        arguments: [[UInt8](), [1, 2, 3], [UInt8](repeating: 0, count: content.count)])
    func verify(_ damage: [UInt8]) async throws {
        try await withAsset { server, path async throws in
            let whole = try await server.request("POST", path + "/verify")
            #expect(whole.status == 200)
            #expect(try whole.json == .object(["sha256": .string("\(Self.hash)"), "size": .integer(700_001)]))
            await server.assets.damage(Self.hash, to: damage)
            #expect(try await server.request("HEAD", path, as: .stranger).status == 200)
            let damaged = try await server.request("POST", path + "/verify")
            #expect(damaged.status == 409 && damaged.code == "asset.damaged", "\(damaged)")
            #expect(try await server.request("HEAD", path, as: .stranger).status == 404)
            #expect(try await server.assets.listQuarantine().map(\.hash) == [Self.hash])
            let gone = try await server.request("POST", path + "/verify")
            #expect(gone.status == 404 && gone.code == "asset.unknown", "\(gone)")
            #expect(try await server.request("PUT", path, body: Self.content).status == 201)
            #expect(try await server.request("POST", path + "/verify").status == 200)
        }
    }

    @Test("a client that asks before it uploads is told to go on")
    func expect() async throws {
        try await TestServer.run { server async throws in
            var request = RawRequest(method: "PUT", path: "/v1/assets/\(Self.hash)", body: Self.content)
            request.headers = ["Authorization": "Bearer \(TestServer.adminKey)", "Expect": "100-continue"]
            let received = String(
                decoding: try await server.exchange(request.bytes, closing: false).prefix(40), as: UTF8.self)
            #expect(received.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201"))
        }
    }

    @Test("an upload with another hash is refused with both, and not kept")
    func mismatch() async throws {
        try await TestServer.run { server async throws in
            let other = [UInt8]("something else".utf8)
            let answer = try await server.request("PUT", "/v1/assets/\(Self.hash)", body: other)
            #expect(answer.status == 422 && answer.code == "asset.hashMismatch")
            #expect(try answer.json["expected"]?.text == "\(Self.hash)")
            #expect(try answer.json["actual"]?.text == "\(ContentHash.of(other))")
            #expect(try answer.json["step"]?.text == "verification")
            #expect(try await server.assets.list().isEmpty)
        }
    }

    @Test("an upload over the bound is refused by its announcement, before a byte of it")
    func tooLarge() async throws {
        try await TestServer.run { server async throws in
            let request = RawRequest(
                method: "PUT", path: "/v1/assets/\(Self.hash)",
                headers: [
                    "Authorization": "Bearer \(TestServer.adminKey)", "Content-Length": "\(Limits.assetBytes + 1)",
                ])
            let answer = try Answer(try await server.exchange(request.bytes, closing: true), to: "PUT")
            #expect(answer.status == 413 && answer.code == "asset.tooLarge")
        }
    }

    @Test("an upload that breaks off is not kept, whether its length was announced or not")
    func brokenOff() async throws {
        try await TestServer.run { server async throws in
            let half = Array(Self.content.prefix(1000))
            let head =
                "PUT /v1/assets/\(ContentHash.of(half)) HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer \(TestServer.adminKey)\r\n"
            let announced = Array((head + "Content-Length: 2000\r\n\r\n").utf8) + half
            let chunked = Array((head + "Transfer-Encoding: chunked\r\n\r\n3e8\r\n").utf8) + half + Array("\r\n".utf8)
            for bytes in [announced, chunked] {
                _ = try await server.exchange(bytes, closing: true)
                #expect(try await server.assets.list().isEmpty)
            }
            let whole = chunked + Array("0\r\n\r\n".utf8)
            let answer = try await server.exchange(whole, closing: true)
            #expect(String(decoding: answer.prefix(12), as: UTF8.self) == "HTTP/1.1 201")
        }
    }

    @Test("the listing goes page by page, in order")
    func listing() async throws {
        try await TestServer.run { server async throws in
            var expected: [String] = []
            for number in 0..<5 { expected.append("\(await server.assets.add([UInt8(number)]))") }
            var found: [String] = []
            var next: String? = ""
            while let after = next {
                let page = try await server.request(
                    "GET", "/v1/assets?limit=2" + (after.isEmpty ? "" : "&after=\(after)"))
                found += try page.json["assets"]?.elements?.compactMap { $0["sha256"]?.text } ?? []
                next = try page.json["next"]?.text
            }
            #expect(found == expected.sorted())
        }
    }
}

/// Holds assets whose second half is gone when it is read.
private struct Vanishing: AssetStore {
    let base: MemoryAssetStore

    func size(of hash: ContentHash) async throws -> Int64? { try await base.size(of: hash) }

    func read(_ hash: ContentHash, offset: Int64, length: Int) async throws -> [UInt8]? {
        offset < 300_000 ? try await base.read(hash, offset: offset, length: length) : nil
    }

    func write() async throws -> any AssetWriter { try await base.write() }

    func quarantine(_ hash: ContentHash) async throws { try await base.quarantine(hash) }

    func remove(_ hash: ContentHash) async throws { try await base.remove(hash) }

    func list() async throws -> [AssetListing] { try await base.list() }
}
