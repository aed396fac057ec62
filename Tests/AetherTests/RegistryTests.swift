import Foundation
import Testing

extension Programs {
    @Suite("Registries")
    struct Registries {
        private func aether(_ line: String, in scratch: Scratch) async throws -> Child.End {
            try await scratch.aether(line.split(separator: " ").map(String.init))
        }

        @Test("Two servers that know only a registry find each other, and an audit finds it honest until it lies")
        func discovery() async throws {
            try await Scratch.use { scratch in
                let registry = try await Node(
                    "registry", in: scratch, "--registry", "--allow-private-addresses", "--heartbeat-interval", "30")
                try await registry.start()
                let alpha = try await Node("alpha", in: scratch, "--registry-url", registry.address)
                let beta = try await Node("beta", in: scratch, "--registry-url", registry.address)
                try await alpha.start()
                try await beta.start()
                for (node, other) in [(alpha, beta), (beta, alpha)] {
                    try await eventually("\(node.id) knows \(other.id)", within: 60) {
                        try await node.api("GET", "/v1/servers/\(other.id)").status == 200
                    }
                }
                let sources = try await aether("registry sources --data \(alpha.home)", in: scratch)
                #expect(sources.code == 0 && sources.out.contains("listed"), "\(sources.out) \(sources.err)")
                let honest = try await aether("registry audit \(registry.address) --data \(alpha.home)", in: scratch)
                #expect(honest.code == 0 && honest.out.contains("ok"), "\(honest.out) \(honest.err)")
                let compared = try await aether(
                    "registry audit \(registry.address) --json --data \(beta.home) --compare \(alpha.address)",
                    in: scratch)
                #expect(compared.code == 0 && compared.out.contains(#""headsCompared" : 1"#), "\(compared.out)")
                let suspended = try await aether(
                    "registry suspend beta --reason spam --data \(registry.home)", in: scratch)
                #expect(suspended.code == 0, "\(suspended.err)")
                let shown = try await aether("registry show beta --data \(registry.home)", in: scratch)
                #expect(shown.out.contains("suspended for   spam"), "\(shown.out)")
                let log = try await aether("registry log --last 1 --data \(registry.home)", in: scratch)
                #expect(log.out.contains("suspended  beta") && log.out.contains("spam"), "\(log.out)")
                let found = try await aether("registry list --text ALPH --data \(registry.home)", in: scratch)
                #expect(found.out.contains("alpha") && !found.out.contains("beta"), "\(found.out)")
                let early = try await aether("registry leave \(registry.address) --data \(alpha.home)", in: scratch)
                #expect(early.code == 0 && early.out.contains("no more"), "\(early.out) \(early.err)")
                #expect(try await registry.api("GET", "/v1/servers/alpha").status == 404)
                try await registry.kill()
                #expect(try await alpha.api("GET", "/v1/servers/beta").status == 200)
                try await lie(registry, alpha, scratch)
            }
        }

        @Test("A registry behind TLS is used and audited by the operator's own roots, and not at an address they deny")
        func ownRoots() async throws {
            try await Scratch.use { scratch in
                let file = try await scratch.certificate(for: "IP:127.0.0.1", "registry-tls")
                let registry = try await Node(
                    "registry", in: scratch, "--registry", "--allow-private-addresses", "--heartbeat-interval", "30")
                let address = "https://127.0.0.1:\(registry.port)"
                try registry.set("endpoint", "wss://127.0.0.1:\(registry.port)")
                try registry.set("tls", ["certificate": file + ".pem", "key": file + ".key"])
                try await registry.start(at: nil)
                let alpha = try await Node("alpha", in: scratch, "--registry-url", address)
                func awaits(_ code: String?) async throws {
                    try await eventually("\(code ?? "no failure") of \(address)", within: 60) {
                        let sources = try await alpha.get("/v1/registries")["registries"].list
                        guard let source = sources.first, sources.count == 1 else { return false }
                        return source["lastError"]["code"].string == code
                            && (code != nil || source["registered"].bool == true)
                    }
                }
                func audit() async throws -> Child.End {
                    try await aether("registry audit \(address) --data \(alpha.home)", in: scratch)
                }
                try await alpha.start()
                // Nobody else has signed the certificate.
                try await awaits("registry.unreachable")
                let refused = try await audit()
                #expect(refused.code == 1 && refused.err.contains("[registry.unreachable]"), "\(refused)")
                let denied = try await aether("policy deny address:127.0.0.0/8 --data \(alpha.home)", in: scratch)
                #expect(denied.code == 0, "\(denied.err)")
                try await awaits("address.denied")
                try await alpha.kill()
                try alpha.set("tls", ["trustRoots": file + ".pem"])
                try await alpha.start()
                try await awaits("address.denied")
                let allowed = try await aether("policy remove address:127.0.0.0/8 --data \(alpha.home)", in: scratch)
                #expect(allowed.code == 0, "\(allowed.err)")
                try await awaits(nil)
                let honest = try await audit()
                #expect(honest.code == 0 && honest.out.contains("ok"), "\(honest.out) \(honest.err)")
                // An audit needs the roots alone, whatever else keeps the server from starting.
                try alpha.set("listen", ["port": 70_000])
                let again = try await audit()
                #expect(again.code == 0 && again.out.contains("ok"), "\(again.out) \(again.err)")
                // Neither a file that is not there nor a list is passed over, and the system's roots taken instead.
                for roots in [file + ".missing", [file + ".pem"]] as [Any] {
                    try alpha.set("tls", ["trustRoots": roots])
                    let rootless = try await audit()
                    #expect(rootless.code != 0 && rootless.err.contains("tls.trustRoots"), "\(rootless)")
                }
            }
        }

        /// Another process with the registry's identity and a store of its own.
        private func lie(_ registry: Node, _ alpha: Node, _ scratch: Scratch) async throws {
            try await Scratch.use { other in
                let twin = try await Node(
                    "registry", in: other, "--registry", "--allow-private-addresses", "--heartbeat-interval", "30")
                let files = try FileManager.default.contentsOfDirectory(atPath: registry.home)
                for file in files where file.hasSuffix(".key") && file != "admin.key" {
                    try? FileManager.default.removeItem(atPath: "\(twin.home)/\(file)")
                    try FileManager.default.copyItem(atPath: "\(registry.home)/\(file)", toPath: "\(twin.home)/\(file)")
                }
                try await twin.start()
                let state = try #require(
                    FileManager.default.contentsOfDirectory(atPath: alpha.home + "/audits").first {
                        !$0.hasSuffix("evidence.json")
                    })
                let caught = try await aether(
                    "registry audit \(twin.address) --state \(other.path)/state.json --compare \(alpha.home)/audits/\(state)",
                    in: other)
                #expect(caught.code == 1 && caught.out.contains("[log.withheld]"), "\(caught.out) \(caught.err)")
                let evidence = try String(contentsOfFile: other.path + "/state.evidence.json", encoding: .utf8)
                #expect(evidence.contains("log.withheld"))
                // A log that is long enough, in which beta has another key.
                let impostor = try await Node("beta", in: other, "--registry-url", twin.address)
                try await impostor.start()
                try await eventually("the twin lists the other beta", within: 60) {
                    try await twin.api("GET", "/v1/servers/beta").status == 200
                }
                for _ in 0..<4 {
                    for (action, body) in [("suspend", #"{"reason":"more entries"}"#), ("reinstate", "{}")] {
                        let done = try await twin.api("POST", "/v1/servers/beta/\(action)", json: body)
                        #expect(done.status == 200, "\(done.text)")
                    }
                }
                let forked = try await aether(
                    "registry audit \(twin.address) --state \(other.path)/other.json --compare \(alpha.home)/audits/\(state)",
                    in: other)
                #expect(forked.code == 1 && forked.out.contains("[log.inconsistent]"), "\(forked.out) \(forked.err)")
            }
        }
    }
}
