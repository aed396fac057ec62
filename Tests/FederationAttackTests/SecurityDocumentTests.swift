import FederationModel
import Foundation
import Testing

@testable import FederationHTTP
@testable import FederationTransport

/// SECURITY.md against the code: the bounds that it names have the values that it says, and what it says is counted is what
/// can be counted.
@Suite("SECURITY.md") struct SecurityDocumentTests {
    /// A row of a table of limits.
    struct Row: Sendable {
        let section: String
        /// What is bounded, the default, and what happens.
        let cells: [String]
    }

    private let rows: [Row]

    init() throws {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "SECURITY.md"), encoding: .utf8)
        var rows: [Row] = []
        var section = ""
        for line in text.split(separator: "\n") {
            if line.hasPrefix("#") { section = String(line.drop { $0 == "#" || $0 == " " }) }
            guard line.hasPrefix("| ") else { continue }
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            rows.append(Row(section: section, cells: cells))
        }
        self.rows = rows
    }

    // MARK: Values

    @Test("every bound that a table of limits names has the value in the code that the table says")
    func values() {
        var seen: Set<String> = []
        for row in rows where Self.sections.contains(row.section) && row.cells.count == 3 {
            for name in Self.quoted(row.cells[0]) where name.allSatisfy({ $0.isLetter }) {
                let key = "\(row.section): \(name)"
                seen.insert(key)
                guard let value = Self.values[row.section]?[name] else {
                    Issue.record("\(key) is in SECURITY.md and not in this test: add what it is in the code")
                    continue
                }
                #expect(
                    value.spellings.contains { Self.holds(row.cells[1], $0) },
                    "\(key) is \(value.spellings), and SECURITY.md says: \(row.cells[1])")
            }
        }
        let known = Self.values.flatMap { section, values in values.keys.map { "\(section): \($0)" } }
        #expect(Set(known).subtracting(seen).isEmpty, "these are not in SECURITY.md")
    }

    // MARK: Names

    @Test("the names under which bounds are counted are those in the code, and each of them has a bound")
    func names() throws {
        let peer = TransportMetrics.Limit.allCases.map(\.rawValue)
        let port = PortLimit.allCases.map(\.rawValue)
        for (metric, names, label) in [
            ("aether_peer_limits_total", peer, "limit"), ("aether_http_limits_total", port, "http limit"),
        ] {
            let row = try #require(
                rows.first { $0.section == "What reaching them costs" && $0.cells[0].contains(metric) })
            #expect(Self.quoted(row.cells[1]).sorted() == names.sorted(), "\(metric)")
            // In the tables of limits: "limit `x`" and "http limit `x`".
            let bounds = rows.filter { Self.sections.contains($0.section) && $0.cells.count == 3 }.flatMap { row in
                row.cells[2].ranges(of: "limit `").compactMap { range -> String? in
                    let isPort = row.cells[2][..<range.lowerBound].hasSuffix("http ")
                    guard isPort == (label == "http limit") else { return nil }
                    return String(row.cells[2][range.upperBound...].prefix { $0 != "`" })
                }
            }
            #expect(Set(bounds) == Set(names), "\(metric)")
        }
    }

    // MARK: Reading

    /// What stands in backticks.
    private static func quoted(_ cell: String) -> [String] {
        cell.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { !$0.offset.isMultiple(of: 2) }.map { String($0.element) }
    }

    /// Whether `figure` stands in `cell`, and not only within a longer one.
    private static func holds(_ cell: String, _ figure: String) -> Bool {
        cell.ranges(of: figure).contains { range in
            let before = cell[..<range.lowerBound].last
            let after = cell[range.upperBound...]
            if let before, before.isLetter || before.isNumber || ",.^".contains(before) { return false }
            guard let next = after.first else { return true }
            if next.isLetter || next.isNumber || next == "^" { return false }
            return !(",.".contains(next) && after.dropFirst().first?.isNumber == true)
        }
    }

    /// A value in the code, in the ways in which it can be written.
    struct Value: Sendable {
        let spellings: [String]

        static func count(_ number: Int) -> Value {
            var spellings = [grouped(number)]
            if number > 1, number.nonzeroBitCount == 1 { spellings.append("2^\(number.trailingZeroBitCount)") }
            return Value(spellings: spellings)
        }

        static func bytes(_ number: Int) -> Value {
            var spellings = [grouped(number), "\(grouped(number)) bytes"]
            for (unit, shift) in [("KiB", 10), ("MiB", 20), ("GiB", 30)] where number.isMultiple(of: 1 << shift) {
                spellings.append("\(grouped(number >> shift)) \(unit)")
            }
            return Value(spellings: spellings)
        }

        static func time(_ duration: Duration) -> Value {
            let milliseconds = Int(duration / .milliseconds(1))
            var spellings: [String] = []
            for (unit, size) in [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("days", 86_400_000)]
            where milliseconds.isMultiple(of: size) {
                spellings.append("\(grouped(milliseconds / size)) \(unit)")
            }
            if milliseconds > 0, 1_000.isMultiple(of: milliseconds) { spellings.append("\(1_000 / milliseconds)/s") }
            return Value(spellings: spellings)
        }

        private static func grouped(_ number: Int) -> String {
            var digits = "\(number)"
            var groups: [String] = []
            while digits.count > 3 {
                groups.insert(String(digits.suffix(3)), at: 0)
                digits.removeLast(3)
            }
            return ([digits] + groups).joined(separator: ",")
        }
    }

    // MARK: Code

    private static let sections = Set(values.keys)

    private static let values: [String: [String: Value]] = [
        "Channel between servers": [
            "handshakeMessageBytes": .bytes(Limits.handshakeMessageBytes), "suites": .count(Limits.suites),
            "handshakeTimeout": .time(Limits.handshakeTimeout), "openHandshakes": .count(Limits.openHandshakes),
            "openIncomingHandshakes": .count(PeerLimits.openIncomingHandshakes),
            "openHandshakesPerAddress": .count(PeerLimits.openHandshakesPerAddress),
            "handshakesPerAddress": .count(PeerLimits.handshakesPerAddress),
            "handshakePause": .time(PeerLimits.handshakePause),
            "handshakeAddresses": .count(PeerLimits.handshakeAddresses), "clockSkew": .time(Limits.clockSkew),
            "trustLifetime": .time(Limits.trustLifetime), "frameBytes": .bytes(Limits.frameBytes),
            "recordBytes": .bytes(Limits.recordBytes), "recordsPerKey": .count(Int(Limits.recordsPerKey)),
            "keyLifetime": .time(Limits.keyLifetime), "idleTimeout": .time(PeerLimits.idleTimeout),
            "inboundFrames": .count(Limits.inboundFrames), "outboundFrames": .count(Limits.outboundFrames),
            "outboundBytes": .bytes(PeerLimits.outboundBytes), "writeMarks": .bytes(PeerLimits.writeMarks.high),
            "dialBackoffMinimum": .time(Limits.dialBackoffMinimum),
            "dialBackoffMaximum": .time(Limits.dialBackoffMaximum), "returnNotices": .count(Limits.returnNotices),
            "returnNoticePause": .time(Limits.returnNoticePause),
        ],
        // Named by settings and codes only.
        "What is fetched and dialled on the word of others": [:],
        "Inquiries and examinations": [
            "inquiriesPerServer": .count(Limits.inquiriesPerServer), "inquiryPause": .time(Limits.inquiryPause),
            "inquiries": .count(Limits.inquiries), "inquiryPauseOfAll": .time(Limits.inquiryPauseOfAll),
            "rememberedInquiries": .count(Limits.rememberedInquiries), "triedBack": .count(Limits.triedBack),
            "examinedEndpoints": .count(Limits.examinedEndpoints), "inquiryWorlds": .count(Limits.inquiryWorlds),
            "findings": .count(Limits.findings), "findingTextBytes": .bytes(Limits.findingTextBytes),
        ],
        "Trust": [
            "policyPatterns": .count(Limits.policyPatterns), "automaticPeers": .count(Limits.automaticPeers),
            "firstUses": .count(Limits.firstUses),
            "introductionsPerIntroducer": .count(Limits.introductionsPerIntroducer),
            "introductions": .count(Limits.introductions), "introductionBurst": .count(Limits.introductionBurst),
            "introductionValidity": .time(Limits.introductionValidity),
            "introductionLifetime": .time(Limits.introductionLifetime), "cardSearches": .count(Limits.cardSearches),
            "cardFetchPause": .time(Limits.cardFetchPause), "cardSearchPause": .time(Limits.cardSearchPause),
        ],
        "Crossings and players": [
            "snapshotBytes": .bytes(Limits.snapshotBytes), "allSnapshotsBytes": .bytes(Limits.allSnapshotsBytes),
            "openHandoffs": .count(Limits.openHandoffs),
            "openSnapshotsOfPlayer": .count(Limits.openSnapshotsOfPlayer),
            "openHandoffsOfPlayer": .count(Limits.openHandoffsOfPlayer), "acceptTimeout": .time(Limits.acceptTimeout),
            "acceptRoundTrips": .count(Limits.acceptRoundTrips), "acceptRoundTrip": .time(Limits.acceptRoundTrip),
            "arrivalTimeout": .time(Limits.arrivalTimeout), "waitingArrivals": .count(Limits.waitingArrivals),
            "passagesPerPeer": .count(Limits.passagesPerPeer), "passages": .count(Limits.passages),
            "handoffRetention": .time(Limits.handoffRetention),
            "rememberedRecalls": .count(Limits.rememberedRecalls),
            "rememberedRecallsPerHome": .count(Limits.rememberedRecallsPerHome),
            "tokenLifetime": .time(Limits.tokenLifetime), "tokenLeeway": .time(Limits.tokenLeeway),
            "keyOverlap": .time(Limits.keyOverlap), "cardFetchPause": .time(Limits.cardFetchPause),
            "equivocations": .count(Limits.equivocations), "tokenBytes": .bytes(Limits.tokenBytes),
            "handoffsAtOnce": .count(Limits.handoffsAtOnce), "handoffPace": .time(Limits.handoffPace),
            "jwsBytes": .bytes(Limits.jwsBytes),
        ],
        "Worlds and assets": [
            "assetBytes": .bytes(Int(Limits.assetBytes)), "worldBytes": .bytes(Int(Limits.worldBytes)),
            "manifestEntries": .count(Limits.manifestEntries), "manifestBytes": .bytes(Limits.manifestBytes),
            "pathBytes": .bytes(Limits.pathBytes), "assetChunkBytes": .bytes(Limits.assetChunkBytes),
            "assetRequestsInFlight": .count(Limits.assetRequestsInFlight),
        ],
        "Registries": [
            "endpointProofs": .count(Limits.endpointProofs), "searchedServers": .count(Limits.searchedServers),
            "longSearches": .count(Limits.longSearches),
            "searchTextBytes": .bytes(Limits.searchTextBytes),
            "registryAnswerBytes": .bytes(Limits.registryAnswerBytes), "registries": .count(Limits.registries),
            "listingsPerRegistry": .count(Limits.listingsPerRegistry),
            "listedServers": .count(Limits.listedServers),
            "revocationPause": .time(Limits.revocationPause), "revocationRelays": .count(Limits.revocationRelays),
            "registeredServers": .count(Limits.registeredServers),
            "serverCardLifetime": .time(Limits.serverCardLifetime),
        ],
        "HTTP and players' clients": [
            "connections": .count(ListenerLimits().connections),
            "connectionsPerAddress": .count(ListenerLimits().connectionsPerAddress),
            "newcomersPerAddress": .count(ListenerLimits().newcomersPerAddress),
            "firstRequestTimeout": .time(.nanoseconds(ListenerLimits().firstRequestTimeout.nanoseconds)),
            "headerFieldBytes": .bytes(ListenerLimits().headerFieldBytes),
            "headerListBytes": .bytes(ListenerLimits().headerListBytes),
            "headerFields": .count(ListenerLimits().headerFields),
            "idleTimeout": .time(.nanoseconds(ListenerLimits().idleTimeout.nanoseconds)),
            "bodyTimeout": .time(.nanoseconds(ListenerLimits().bodyTimeout.nanoseconds)),
            "bodyBytesPerSecond": .bytes(ListenerLimits().bodyBytesPerSecond),
            "writeStallTimeout": .time(.nanoseconds(ListenerLimits().writeStallTimeout.nanoseconds)),
            "stopTimeout": .time(.nanoseconds(ListenerLimits().stopTimeout.nanoseconds)),
            "jsonBytes": .bytes(Limits.jsonBytes), "jsonDepth": .count(Limits.jsonDepth),
            "clientMessageBytes": .bytes(ClientSocket.configuration.maximumMessageBytes),
            "maximumFragments": .count(ClientSocket.configuration.maximumFragments),
            "waitingMessages": .count(ClientSocket.waitingMessages),
            "controlFramesPerWindow": .count(ClientSocket.configuration.controlFramesPerWindow),
            "controlWindow": .time(.nanoseconds(ClientSocket.configuration.controlWindow.nanoseconds)),
            "openingTimeout": .time(ClientSocket.openingTimeout), "sendTimeout": .time(ClientSocket.sendTimeout),
        ],
    ]
}
