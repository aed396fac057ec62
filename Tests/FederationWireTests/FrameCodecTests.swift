import FederationModel
import FederationWire
import TestKit
import Testing

@Suite("FrameCodec")
struct FrameCodecTests {
    @Test("every frame comes back as it was, with the same bytes every time")
    func roundTrip() throws {
        for frame in try FrameSamples.all() {
            let bytes = try FrameCodec.encode(frame)
            #expect(bytes.count <= Limits.frameBytes)
            #expect(try FrameCodec.decode(bytes) == frame)
            #expect(try FrameCodec.encode(frame) == bytes)
        }
    }

    @Test("a frame out of bounds is not written")
    func boundsOfWriting() throws {
        for (frame, failure) in try FrameSamples.outOfBounds() {
            #expect(throws: failure) { try FrameCodec.encode(frame) }
        }
    }

    @Test("the bytes are those of the schema")
    func knownBytes() throws {
        let server = try #require(ServerID(rawValue: "b"))
        #expect(try FrameCodec.encode(.ready(.init(server: server))) == [0x0A, 3, 0x0A, 1, 0x62])
        let heartbeat = FederationFrame.Heartbeat(sequence: 300, sentAt: Timestamp(milliseconds: -1))
        #expect(try FrameCodec.encode(.heartbeat(heartbeat)) == [0x12, 5, 0x08, 0xAC, 0x02, 0x10, 0x01])
        let handoff = try #require(FrameSamples.handoff)
        #expect(try FrameCodec.encode(.query(handoff)) == [0x72, 18, 0x0A, 16] + Array(1...16))
    }

    @Test("a frame over the bound is refused before it is looked at")
    func oversized() throws {
        let bytes = [UInt8](repeating: 0xFF, count: Limits.frameBytes + 1)
        #expect(throws: FrameFailure.oversized(bytes.count)) { try FrameCodec.decode(bytes) }
        #expect(throws: FrameFailure.malformed) { try FrameCodec.decode(Array(bytes.dropLast())) }
    }

    /// A frame's field number, its message, and why it is refused.
    static let refused: [(UInt64, [UInt8], FrameFailure)] = {
        let id = Array(UInt8(1)...16)
        let hash = Array(UInt8(1)...32)
        func build(_ build: (inout ProtobufWriter) -> Void) -> [UInt8] { ProtobufWriter.message(build) }
        let long = String(repeating: "a", count: 65)
        return [
            (1, [], .invalidField(.serverID)),
            (1, build { $0.text(1, "A") }, .invalidField(.serverID)),
            (1, build { $0.text(1, "a..b") }, .invalidField(.serverID)),
            (1, build { $0.text(1, long) }, .fieldOversized(.serverID)),
            (1, build { $0.data(1, [0xFF]) }, .malformed),
            (2, [], .invalidField(.sequence)),
            (3, build { $0.integer(2, 4) }, .invalidField(.sequence)),
            (4, build { $0.integer(1, 1) }, .invalidField(.worldID)),
            (4, build { $0.text(2, long) }, .fieldOversized(.worldID)),
            (5, build { $0.integer(1, 1) }, .invalidField(.answer)),
            (5, build { $0.data(2, []) }, .invalidField(.sha256)),
            (5, build { $0.data(2, build { $0.data(1, hash + [0]) }) }, .invalidField(.sha256)),
            (
                5,
                build {
                    $0.data(
                        2,
                        build {
                            $0.data(1, hash); $0.integer(2, .max)
                        })
                }, .invalidField(.size)
            ),
            (
                5,
                build {
                    $0.data(
                        2,
                        build {
                            $0.data(1, hash); $0.integer(2, 1 << 40)
                        })
                }, .fieldOversized(.size)
            ),
            (5, build { $0.text(3, "") }, .invalidField(.refused)),
            (6, build { $0.data(2, hash) }, .invalidField(.length)),
            (6, build { $0.integer(4, 1) }, .invalidField(.sha256)),
            (
                6,
                build {
                    $0.data(2, hash); $0.integer(4, 1 << 31)
                }, .fieldOversized(.length)
            ),
            (
                6,
                build {
                    $0.data(2, hash); $0.integer(3, .max); $0.integer(4, 1)
                }, .invalidField(.offset)
            ),
            (7, build { $0.integer(1, 1) }, .invalidField(.answer)),
            (7, build { $0.data(2, .init(repeating: 0, count: 65_537)) }, .fieldOversized(.chunk)),
            (7, build { $0.text(3, long) }, .fieldOversized(.refused)),
            (8, build { $0.data(1, id) }, .invalidField(.token)),
            (8, build { $0.text(2, "a.b.c") }, .invalidField(.handoffID)),
            (
                8,
                build {
                    $0.data(1, id + [0]); $0.text(2, "a.b.c")
                }, .invalidField(.handoffID)
            ),
            (9, [], .invalidField(.handoffID)),
            (9, build { $0.data(1, Array(id.dropLast())) }, .invalidField(.handoffID)),
            (10, build { $0.data(1, id) }, .invalidField(.code)),
            (
                10,
                build {
                    $0.data(1, id); $0.text(2, "c"); $0.text(3, "\u{1B}")
                }, .invalidField(.reason)
            ),
            (11, build { $0.data(1, id) }, .invalidField(.token)),
            (12, build { $0.data(1, id) }, .invalidField(.receipt)),
            (13, [], .invalidField(.handoffID)),
            (14, [], .invalidField(.handoffID)),
            (15, build { $0.data(1, id) }, .invalidField(.decision)),
            (15, build { $0.data(2, []) }, .invalidField(.handoffID)),
            (
                15,
                build {
                    $0.data(1, id); $0.text(3, "")
                }, .invalidField(.token)
            ),
            (17, [], .invalidField(.tokens)),
            (17, build { $0.text(1, "a b") }, .invalidField(.tokens)),
            (18, [], .invalidField(.players)),
            (18, build { $0.data(1, []) }, .invalidField(.players)),
            (18, build { $0.data(1, build { $0.text(1, "ada@alpha") }) }, .invalidField(.epoch)),
            (
                18,
                build {
                    $0.data(
                        1,
                        build {
                            $0.text(1, "ada"); $0.integer(2, 2)
                        })
                }, .invalidField(.players)
            ),
        ]
    }()

    @Test("a field out of bounds is refused by its name", arguments: refused)
    func boundsOfReading(_ field: UInt64, _ message: [UInt8], _ failure: FrameFailure) {
        #expect(throws: failure) { try FrameCodec.decode(ProtobufWriter.message { $0.data(field, message) }) }
    }

    @Test("nothing at all is no frame")
    func empty() {
        #expect(throws: FrameFailure.malformed) { try FrameCodec.decode([]) }
    }

    @Test("a frame of a kind that a newer peer may know is told apart", arguments: [UInt64(23), 99, 1 << 28])
    func unknownKind(_ field: UInt64) {
        #expect(throws: FrameFailure.unknownType) {
            try FrameCodec.decode(ProtobufWriter.message { $0.data(field, [1, 2, 3]) })
        }
    }

    @Test("fields that are not known are ignored, in the frame and in its message")
    func unknownFields() throws {
        let bytes = ProtobufWriter.message { frame in
            frame.data(
                1,
                ProtobufWriter.message { ready in
                    ready.text(1, "alpha")
                    ready.integer(9, 42)
                })
            frame.text(77, "later")
        }
        let server = try #require(ServerID(rawValue: "alpha"))
        #expect(try FrameCodec.decode(bytes) == .ready(.init(server: server)))
    }

    @Test("groups nested deep are refused without exhausting the stack")
    func deepNesting() {
        let bytes = [UInt8](repeating: 0x83, count: 1) + [0x01] + [UInt8](repeating: 0x0B, count: 1 << 20)
        #expect(throws: FrameFailure.self) { try FrameCodec.decode(bytes) }
    }

    @Test("every failure has the close code that PROTOCOL.md gives it")
    func closeCodes() {
        #expect(FrameFailure.oversized(1).closeCode == .oversized)
        #expect(FrameFailure.malformed.closeCode == .protocolError)
        #expect(FrameFailure.unknownType.closeCode == nil)
        for field in FrameFailure.Field.allCases {
            #expect(FrameFailure.fieldOversized(field).closeCode == .oversized)
            #expect(FrameFailure.invalidField(field).closeCode == .protocolError)
        }
    }

    @Test("a frame cut short is refused or is itself a frame that can be written again")
    func truncation() throws {
        for frame in try FrameSamples.all() {
            let bytes = try FrameCodec.encode(frame)
            let lengths =
                bytes.count <= 2_048 ? Array(0..<bytes.count) : Array(0..<64) + [bytes.count / 2, bytes.count - 1]
            for length in lengths {
                let cut = Array(bytes.prefix(length))
                #expect(throws: FrameFailure.self, "\(length) of \(bytes.count) bytes") { try FrameCodec.decode(cut) }
            }
        }
    }

    @Test("random bytes and random changes never do worse than a failure", arguments: [UInt64(1), 2, 3, 4])
    func mutation(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let samples = try FrameSamples.all().map { try FrameCodec.encode($0) }.filter { $0.count < 4_096 }
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = samples[Int.random(in: 0..<samples.count, using: &random)]
            for _ in 0...Int.random(in: 0..<4, using: &random) {
                let position = Int.random(in: 0...bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes.insert(UInt8.random(in: 0...255, using: &random), at: position)
                case 1 where position < bytes.count: bytes.remove(at: position)
                default: if position < bytes.count { bytes[position] = UInt8.random(in: 0...255, using: &random) }
                }
            }
            // What is accepted is a frame like any other: it can be written, and reads back the same.
            guard let frame = try? FrameCodec.decode(bytes) else { continue }
            accepted += 1
            #expect(try FrameCodec.decode(FrameCodec.encode(frame)) == frame)
        }
        #expect(accepted > 100)
    }
}
