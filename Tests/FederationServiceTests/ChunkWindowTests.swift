import FederationModel
import TestKit
import Testing

@testable import FederationService

@Suite struct ChunkWindowTests {
    private static let chunk = Limits.assetChunkBytes

    /// Sizes around the edges of a chunk, of a group and of the window, and where in the asset it begins.
    static let ranges: [Range<Int64>] = [0, 1, 3, 4, 5, 15, 16, 17, 21, 40].flatMap { chunks in
        [-1, 0, 1].map { Int64(chunks * chunk + $0) }.filter { $0 >= 0 }.flatMap { [0..<$0, 100..<(100 + $0)] }
    }

    /// Would fail if a chunk were given out in the order of its arrival, twice or never, if more were asked for than may wait,
    /// or if the last chunks waited for a group that never fills.
    @Test(
        "whatever the order of arrival, an asset is given out whole, in order, in groups and within the bound",
        arguments: ranges)
    func shuffled(_ range: Range<Int64>) {
        for seed in UInt64(1)...5 {
            var random = SeededGenerator(seed: seed)
            var window = ChunkWindow(range)
            /// Each chunk with what is in it: its number.
            var onTheWay: [(chunk: ChunkWindow.Chunk, number: UInt8)] = []
            var asked: Int64 = 0
            var written: Int64 = 0
            var numbers: [UInt8] = []
            while !window.isOver {
                for chunk in window.ask() {
                    #expect(chunk.offset == range.lowerBound + asked && (1...Self.chunk).contains(chunk.length))
                    onTheWay.append((chunk, UInt8(asked / Int64(Self.chunk))))
                    asked += Int64(chunk.length)
                }
                #expect(asked - written <= ChunkWindow.bytes)
                while !window.isReady {
                    guard let index = onTheWay.indices.randomElement(using: &random) else {
                        Issue.record("seed \(seed): it waits for a chunk that nobody was asked for")
                        return
                    }
                    let (chunk, number) = onTheWay.remove(at: index)
                    window.arrive([UInt8](repeating: number, count: chunk.length), at: chunk)
                }
                let group = window.take()
                #expect(!group.isEmpty && group.count <= ChunkWindow.group)
                for bytes in group {
                    numbers.append(bytes[0])
                    written += Int64(bytes.count)
                }
                #expect(group.count == ChunkWindow.group || written == Int64(range.count))
                window.wrote()
            }
            #expect(written == Int64(range.count) && onTheWay.isEmpty, "seed \(seed)")
            #expect(numbers == (0..<numbers.count).map { UInt8($0) }, "seed \(seed)")
            #expect(window.ask().isEmpty && !window.isReady && window.take().isEmpty)
        }
    }

    /// Would fail if the bound moved when chunks are given out, before they are written.
    @Test("as much more is asked for as is written, and not sooner")
    func bound() {
        var window = ChunkWindow(0..<Int64(100 * Self.chunk))
        let first = window.ask()
        #expect(first.count == Limits.assetRequestsInFlight)
        for chunk in first { window.arrive([UInt8](repeating: 1, count: chunk.length), at: chunk) }
        #expect(window.take().count == ChunkWindow.group)
        #expect(window.ask().isEmpty)
        window.wrote()
        #expect(window.ask().map(\.offset) == (16..<20).map { Int64($0 * Self.chunk) })
    }
}
