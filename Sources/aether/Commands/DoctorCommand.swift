import ArgumentParser
import FederationModel
import Foundation

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Find out what is the matter with this server, or between it and a peer.",
        discussion: """
            Without a peer: this server's files, its address as others meet it, its registries, and every peer in one line. \
            With a peer: everything between the two, from both directions; the peer is asked to try back. \
            Nothing is changed. Exit code 1 when anything is wrong.
            """)

    @Argument(help: "The peer's id.")
    var peer: String?

    @Flag(name: .customLong("self"), help: "Leave the peers out.")
    var onlySelf = false

    @OptionGroup var options: ServerOptions

    func validate() throws {
        if onlySelf, peer != nil { throw ValidationError("name a peer, or --self") }
    }

    func run() async throws {
        let peer = try peer.map { try identifier($0, as: ServerID.self) }
        var report = FindingReport(json: options.json)
        if let peer {
            await examine(peer, into: &report)
        } else {
            await examineSelf(into: &report)
        }
        Terminal.progress("")
        report.show()
        if report.isWrong { throw ExitCode(1) }
    }

    // MARK: This server

    private func examineSelf(into report: inout FindingReport) async {
        var client: AdminClient?
        if options.server == nil {
            Terminal.progress("looking at the files …")
            let local = LocalExamination(home: ServerHome(options.data))
            let found = await local.run()
            report.add(found.findings, of: found.server)
            guard found.isRunning else { return }
        }
        do {
            client = try await options.client()
            Terminal.progress("looking at this server from outside …")
            if let client { report.add(try await examination(client, of: nil)) }
        } catch {
            report.add([Self.finding("server", error)], of: nil)
            return
        }
        if let client, !onlySelf { await examinePeers(client, into: &report) }
    }

    // MARK: Peers

    /// Peers that are looked at when none is named.
    private static let peersInAll = 64
    private static let peersAtOnce = 4

    /// One line for each peer: the worst that was found.
    private func examinePeers(_ client: AdminClient, into report: inout FindingReport) async {
        let ids: [String]
        do {
            ids = try await client.get("/v1/peers").json.fields["peers"].list.compactMap { $0["id"].string }
        } catch {
            return report.add([Self.finding("peers", error)], of: nil)
        }
        let shown = ids.prefix(Self.peersInAll)
        let lines = await withTaskGroup(of: (Int, Summary).self) { group in
            var lines: [Int: Summary] = [:]
            var next = shown.startIndex
            while lines.count < shown.count {
                while next < shown.endIndex, next - lines.count < Self.peersAtOnce {
                    let (index, id) = (next, shown[next])
                    group.addTask { (index, await summary(of: id, client)) }
                    next += 1
                }
                guard let (index, line) = await group.next() else { break }
                lines[index] = line
                Terminal.progress("looked at \(lines.count) of \(shown.count) peers …")
            }
            return lines.sorted { $0.key < $1.key }.map(\.value)
        }
        if lines.contains(where: \.isReached) { report.forgiveWayIn() }
        report.add(lines.map(\.line))
        if ids.count > shown.count {
            report.add(
                [
                    .warning(
                        "peers", "peers.many", "\(ids.count - shown.count) further peers were not looked at",
                        "name one: aether doctor PEER")
                ], of: nil)
        }
    }

    /// What is said of a peer among others.
    private struct Summary: Sendable {
        let line: FindingReport.Line
        /// Whether it reaches this server.
        var isReached = false
    }

    private func summary(of id: String, _ client: AdminClient) async -> Summary {
        let lines: [FindingReport.Line]
        do {
            lines = try await examination(client, of: id)
        } catch {
            return Summary(line: FindingReport.Line(id, Self.finding("peer", error)))
        }
        let findings = lines.map(\.finding)
        let back = findings.filter { $0.check.hasPrefix("back.") }
        let isReached = !back.isEmpty && back.allSatisfy { $0.status == .ok }
        let worst = findings.map(\.status).max() ?? .ok
        guard worst != .ok, let first = findings.first(where: { $0.status == worst }) else {
            let well = Finding.ok("peer", "\(lines.count) checks, from both directions, found nothing")
            return Summary(line: FindingReport.Line(id, well), isReached: isReached)
        }
        // What the operator has done on purpose is no fault.
        let isMeant = ["server.suspended", "policy.denied", "peer.scopeMissing.heartbeat"].contains(first.code)
        let shown = isMeant && first.check == "trust" ? first.asked(.warning) : first
        return Summary(line: FindingReport.Line(id, shown), isReached: isReached)
    }

    private func examine(_ peer: ServerID, into report: inout FindingReport) async {
        do {
            let client = try await options.client()
            Terminal.progress("looking at \(peer), and asking it to look back …")
            report.add(try await examination(client, of: peer.rawValue))
        } catch {
            report.add([Self.finding("server", error)], of: nil)
        }
    }

    // MARK: Asking the running server

    private func examination(_ client: AdminClient, of peer: String?) async throws -> [FindingReport.Line] {
        let response: AdminClient.Response
        do {
            response = try await client.request(
                "POST", "/v1/examinations", body: .json(peer.map { ["peer": $0] } ?? [:]), timeout: .seconds(120))
        } catch let refusal as Refusal where refusal.code == "path.unknown" {
            throw Refusal(
                .conflict, code: "server.older", reason: "the server that runs is older than this program",
                remedy: "start it anew with: aether serve")
        }
        let fields = response.json.fields
        let server = fields["server"].text()
        return fields["findings"].list.compactMap { FindingReport.Line(server, $0) }
    }

    private static func finding(_ check: String, _ error: any Error) -> Finding {
        guard let refusal = error as? Refusal else {
            return .wrong(check, "server.failed", oneLine("\(error)"), "see aether serve --check")
        }
        guard refusal.code == "server.unreachable" else { return Finding(check, refusal) }
        return .wrong(check, "server.notRunning", refusal.reason, refusal.remedy)
    }
}
