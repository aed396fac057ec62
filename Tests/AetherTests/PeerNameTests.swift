import Foundation
import Testing

extension Programs {
    /// `localhost` is the one name that every machine knows without a name server.
    @Suite("Peers by their names")
    struct PeerNames {
        /// Where a bare name is looked for in the clear.
        private static let ownPort = 7_700

        private static var isOwnPortFree: Bool {
            guard let descriptor = Loopback.listen(ownPort) else { return false }
            close(descriptor)
            return true
        }

        /// Says what `peers add` says for a name, with further arguments.
        private func add(_ name: String, to node: Node, in scratch: Scratch, _ flags: [String]) async throws
            -> Child.End
        {
            try await scratch.aether(["peers", "add", name, "--data", node.home] + flags)
        }

        private func isOneLine(_ end: Child.End) -> Bool {
            end.complaints.count == 1 && end.err.hasPrefix("aether: ")
        }

        /// Would fail if a bare name were not looked for at port 7700 in the clear after all else, if it led into this
        /// machine unasked, if another fingerprint than the key's were shown or a wrong one taken, if anything were kept
        /// before it was compared, and if what is kept did not lead to the server itself.
        @Test(
            "A bare name leads to the card and its fingerprint, and by that fingerprint alone to a peer",
            .enabled(if: isOwnPortFree, "something else listens at port 7700 of this machine"))
        func bareName() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                try await alpha.start()
                try await beta.start()
                try await eventually("port \(Self.ownPort) is free again") { Self.isOwnPortFree }
                let door = try Door(to: beta.port, at: Self.ownPort)
                defer { door.end() }
                let shown = try #require(try await beta.get("/v1/status")["fingerprint"].string)
                let isAllowed = ["--allow-private-addresses"]
                for (flags, code) in [
                    ([], "address.refused"), (isAllowed, "peer.unconfirmed"),
                    (isAllowed + ["--fingerprint", String(shown.reversed())], "peer.otherFingerprint"),
                ] {
                    let refused = try await add("localhost", to: alpha, in: scratch, flags)
                    #expect(refused.code == 1 && isOneLine(refused), "\(code): \(refused.err)")
                    #expect(refused.err.contains("[\(code)]"), "\(refused.err)")
                    let isFound = code != "address.refused"
                    for part in [
                        shown, "http://localhost:\(Self.ownPort)", "at another host than the one that you named",
                    ] {
                        #expect(refused.out.contains(part) == isFound, "\(code): \(part): \(refused.out)")
                    }
                }
                #expect(try await alpha.get("/v1/peers")["peers"].list.isEmpty)
                #expect(try await alpha.get("/v1/servers")["servers"].list.isEmpty)

                let added = try await add("localhost", to: alpha, in: scratch, isAllowed + ["--fingerprint", shown])
                #expect(added.code == 0 && added.err.isEmpty, "\(added.err)")
                #expect(added.out.contains("beta (beta) is a peer now; its key \(shown) is pinned."), "\(added.out)")
                try await beta.trust(alpha)
                try await alpha.awaitHealthy(beta)
                let peer = try await alpha.peer(beta)
                #expect(peer["fingerprint"].string == shown, "\(peer)")
                #expect(peer["endpoint"].string == "ws://127.0.0.1:\(beta.port)", "\(peer)")
            }
        }

        /// Would fail if each place were told once more with the cause that all have.
        @Test("A name and a port where nothing listens are told with one cause and both places, in one line")
        func nobody() async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                try await alpha.start()
                let place = "localhost:\(try Loopback.freePort())"
                let end = try await add(place, to: alpha, in: scratch, ["--allow-private-addresses"])
                #expect(end.code == 1 && isOneLine(end) && end.err.contains("[server.unreachable]"), "\(end.err)")
                #expect(end.err.contains("(tried https://\(place), http://\(place))"), "\(end.err)")
            }
        }

        /// A server that is named `localhost:PORT`.
        struct Naming: Sendable, CustomTestStringConvertible {
            let testDescription: String
            /// For whom its certificate is; nil when it speaks in the clear.
            let certificate: String?
            /// Whether whoever adds it has the certificate among their roots.
            let isKnown: Bool
            /// The scheme with which its card is found, if it is.
            let scheme: String?

            init(_ what: String, _ certificate: String?, isKnown: Bool = true, foundWith scheme: String?) {
                testDescription = what
                self.certificate = certificate
                self.isKnown = isKnown
                self.scheme = scheme
            }

            static let all = [
                Naming("in the clear, after TLS was tried", nil, foundWith: "http"),
                Naming("by the certificate of the name", "DNS:localhost", foundWith: "https"),
                Naming("with the certificate of another name", "DNS:elsewhere.example", foundWith: nil),
                Naming("with a certificate of an unknown root", "DNS:localhost", isKnown: false, foundWith: nil),
            ]
        }

        /// Would fail if TLS were not tried for a name and a port, or nothing after it; if the certificate were compared with
        /// the address instead of the name, or with nothing; and if the server's own roots were not used.
        @Test(
            "A name and a port lead to a card by TLS, or else in the clear; another name's certificate leads to none",
            arguments: Naming.all)
        func nameAndPort(_ naming: Naming) async throws {
            try await Scratch.use { scratch in
                let alpha = try await Node("alpha", in: scratch)
                let beta = try await Node("beta", in: scratch)
                let name = "localhost:\(beta.port)"
                if let subject = naming.certificate {
                    let file = try await scratch.certificate(for: subject, "beta-tls")
                    try beta.set("tls", ["certificate": file + ".pem", "key": file + ".key"])
                    if naming.isKnown { try alpha.set("tls", ["trustRoots": file + ".pem"]) }
                }
                try beta.set("endpoint", (naming.certificate == nil ? "ws://" : "wss://") + name)
                try await beta.start(at: naming.certificate == nil ? beta.port : nil)
                try await alpha.start()
                let keys = try await scratch.aether("keys", "show", "--data", beta.home, "--json")
                let shown = try #require(JSON(keys.out)["fingerprint"].string, "\(keys.err)")
                let end = try await add(
                    name, to: alpha, in: scratch, ["--allow-private-addresses", "--fingerprint", shown])
                let peers = try await alpha.get("/v1/peers")["peers"].list
                guard let scheme = naming.scheme else {
                    #expect(end.code == 1 && isOneLine(end) && end.out.isEmpty, "\(end.out) \(end.err)")
                    // Not only what came of speaking in the clear to a port that has TLS.
                    #expect(end.err.contains("a server answers at https://\(name), but its certificate"), "\(end.err)")
                    #expect(!end.err.contains("no server answers") && !end.err.contains("runs there"), "\(end.err)")
                    #expect(peers.isEmpty)
                    return
                }
                #expect(end.code == 0 && end.err.isEmpty, "\(end.err)")
                #expect(end.out.contains("\(scheme)://\(name)"), "\(end.out)")
                #expect(!end.out.contains("at another host"), "\(end.out)")
                #expect(peers.map { $0["fingerprint"].string } == [shown] && end.out.contains(shown), "\(end.out)")
            }
        }
    }
}
