import ArgumentParser
import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Foundation

struct RegistryAuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Check that a registry shows everybody the same, and what it showed before.",
        discussion: """
            The first audit pins the registry's key; give --compare something from others, because what a registry \
            shows to you alone cannot contradict itself. Exit code 1 when anything is wrong. Certificates are checked as \
            the server of the data directory checks them: with its tls.trustRoots. The address that you name is asked \
            whatever that server's policy denies.
            """)

    @Argument(help: "The registry's address: http://host:port or https://host:port.")
    var address: String

    @Option(help: "Where the audit keeps what it has seen (else in the data directory).")
    var state: String?

    @Option(
        help: ArgumentHelp(
            "Heads that others were shown: another auditor's state or evidence file, or a server that uses the registry.",
            valueName: "file-or-url"))
    var compare: [String] = []

    @Option(help: "Where the evidence goes (else beside the state).")
    var evidence: String?

    @Option(help: ArgumentHelp("The data directory (else AETHER_DATA, else ~/.aether).", valueName: "dir"))
    var data: String?

    @Flag(help: "Print JSON instead of text.")
    var json = false

    func run() async throws {
        let address = try Self.base(of: address)
        let file = URL(fileURLWithPath: try stateFile(for: address))
        let earlier = try Self.read(file)
        let link = try HTTPRegistryLink(tls: .trusting(try await trustRoots()))
        var others: [JSONValue] = []
        for source in compare { others.append(try await Self.document(source, link)) }
        let report = try await RegistryAuditor(address: address, link: link).run(earlier, comparing: others)
        try Self.write(report.audit.json, to: file)
        var proof: URL?
        if !report.findings.isEmpty {
            let target =
                evidence.map { URL(fileURLWithPath: $0) }
                ?? file.deletingPathExtension()
                .appendingPathExtension("evidence.json")
            try Self.write(Self.evidence(report, address), to: target)
            proof = target
        }
        show(report, address, proof)
        if !report.findings.isEmpty { throw ExitCode(1) }
    }

    /// Those that the server here is told to trust; nil where there is none: an audit needs no server, so one that was not
    /// named and has settings that cannot be read stops none.
    private func trustRoots() async throws -> String? {
        let home = ServerHome(data)
        guard home.isInitialised else { return nil }
        let loader = ConfigurationLoader(file: home.configurationFile, flags: [:])
        if data == nil { return try? await loader.trustRoots() }
        return try await loader.trustRoots()
    }

    private func show(_ report: RegistryAuditor.Report, _ address: String, _ proof: URL?) {
        if json {
            var result: [String: JSONValue] = [
                "address": .string(address), "registry": .string(report.registry.rawValue),
                "size": .integer(Int64(clamping: report.head.size)), "root": .string(report.head.root.description),
                "entriesRead": .integer(Int64(report.entriesRead)),
                "serversChecked": .integer(Int64(report.serversChecked)),
                "proofsChecked": .integer(Int64(report.proofsChecked)),
                "headsCompared": .integer(Int64(report.headsCompared)),
                "findings": .array(report.findings.map(Self.json)), "ok": .bool(report.findings.isEmpty),
            ]
            if let proof { result["evidence"] = .string(proof.path) }
            return Terminal.say(JSONText(data: Data(JSONValue.object(result).serialized())).pretty)
        }
        for finding in report.findings {
            Terminal.say("\(Terminal.styled("wrong", .red))  \(oneLine(finding.message)) [\(finding.code)]")
        }
        if let proof { Terminal.say("The evidence is in \(proof.path); show it to others who use \(report.registry).") }
        guard report.findings.isEmpty else { return }
        Terminal.say(
            "\(Terminal.styled("ok", .green))  \(report.registry): \(report.head.size) entries, \(report.entriesRead) of them new, "
                + "\(report.serversChecked) servers and \(report.proofsChecked) proofs checked, "
                + "\(report.headsCompared) heads of others compared")
        if report.headsCompared == 0 {
            Terminal.say("Nothing of others was compared: --compare shows whether they are shown the same.")
        }
    }

    // MARK: Files

    private func stateFile(for address: String) throws -> String {
        if let state { return state }
        let directory = ServerHome(data).path + "/audits"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let name = String(address.map { $0.isLetter || $0.isNumber || $0 == "." ? $0 : "-" })
        return directory + "/\(name).json"
    }

    private static func read(_ file: URL) throws -> RegistryAudit? {
        guard let bytes = try? Data(contentsOf: file) else { return nil }
        guard let json = try? JSONValue.parse(Array(bytes), maximumBytes: 1 << 30), let audit = RegistryAudit(json)
        else {
            throw Refusal(
                .invalid, code: "audit.badState", reason: "\(file.path) is not the state of an audit",
                remedy: "name another file with --state; without its state an audit begins anew")
        }
        return audit
    }

    private static func write(_ json: JSONValue, to file: URL) throws {
        do {
            try Data(json.serialized() + [0x0A]).write(to: file, options: .atomic)
        } catch {
            throw Refusal(
                .unavailable, code: "audit.unwritable",
                reason: "\(file.path) cannot be written: \(oneLine("\(error)"))",
                remedy: "name another file with --state or --evidence")
        }
    }

    private static func evidence(_ report: RegistryAuditor.Report, _ address: String) -> JSONValue {
        .object([
            "address": .string(address), "registry": .string(report.registry.rawValue),
            "key": .string(report.audit.binding.key.description),
            "findings": .array(report.findings.map(json)),
        ])
    }

    private static func json(_ finding: AuditFinding) -> JSONValue {
        var members: [String: JSONValue] = [
            "code": .string(finding.code), "message": .string(finding.message),
            "evidence": .array(finding.evidence.map { .string($0) }),
        ]
        if let server = finding.server { members["server"] = .string(server.rawValue) }
        return .object(members)
    }

    // MARK: What others were shown

    private static func document(_ source: String, _ link: HTTPRegistryLink) async throws -> JSONValue {
        if source.hasPrefix("http://") || source.hasPrefix("https://") {
            let base = try base(of: source)
            let bytes = try await link.ask(RegistryRequest("GET", base, "/v1/registries"))
            if let json = try? JSONValue.parse(bytes, maximumBytes: Limits.registryAnswerBytes) { return json }
        } else if let bytes = try? Data(contentsOf: URL(fileURLWithPath: source)) {
            if let json = try? JSONValue.parse(Array(bytes), maximumBytes: 1 << 30) { return json }
            // A head alone, as somebody has sent it.
            let text = String(decoding: bytes.prefix(Limits.jwsBytes), as: UTF8.self)
            return .string(text.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        throw Refusal(
            .invalid, code: "audit.badComparison", reason: "nothing to compare with is in \(oneLine(source))",
            remedy: "name a state or evidence file of another audit, or the address of a server that uses the registry")
    }

    static func base(of address: String) throws -> String {
        for (scheme, socket) in [("http://", "ws://"), ("https://", "wss://")] where address.hasPrefix(scheme) {
            if let endpoint = Endpoint(socket + address.dropFirst(scheme.count)) { return endpoint.httpBase }
        }
        if let endpoint = Endpoint(address) { return endpoint.httpBase }
        throw ValidationError("'\(oneLine(address).prefix(120))' is not the address of a server: http://host:port")
    }
}
