import Crypto
import FederationModel
import Synchronization
import Testing

@testable import FederationCrypto

/// Whether secrets are gone from the process's memory once the values that held them have died.
@Suite(
    "Wiping", .serialized,
    // Memory that other tests map and unmap meanwhile cannot be read as a whole.
    .enabled(if: ProcessMemory.isAsked, "it needs a process of its own: scripts/prove-channel runs it"),
    .enabled(if: ProcessMemory.isReadable, "this system does not let a process read its memory as a file"),
    .disabled(if: ProcessMemory.isSanitized, "a sanitizer keeps freed memory"))
struct WipingTests {
    /// What cannot be promised, and why. SECURITY.md says the same. Whether such a copy is found depends on what the
    /// memory was used for since.
    struct Unpromised: Sendable {
        /// Parts of the secrets' names.
        let secrets: [String]
        let place: ProcessMemory.Place
        let reason: Comment

        func covers(_ find: ProcessMemory.Find) -> Bool {
            place == find.place && secrets.contains { find.name.contains($0) }
        }
    }

    static let unpromised: [Unpromised] = [
        Unpromised(
            secrets: ["ML-KEM seed"], place: .heap,
            reason: "swift-crypto keeps the seed of a decapsulation key in a Data and frees it as it is"),
        Unpromised(
            secrets: ["ML-KEM secret"], place: .heap,
            reason: "swift-crypto decapsulates into a Data and frees it as it is"),
        // Not the identity's seed: no code of ours or of the library's leaves that on a stack.
        Unpromised(
            secrets: [
                "exchange key", "ephemeral key", "ML-KEM", "X25519 of", "pseudorandom key", "export", "bound key",
                "bound IV",
            ], place: .stack,
            reason: "the compiler and BoringSSL leave values in stack slots until other calls use them"),
    ]

    @Test(
        "after a whole handshake, records and changes of keys, no secret is left",
        arguments: CipherSuite.allCases)
    func handshake(suite: CipherSuite) throws {
        let secrets = try Life(suite).secrets()
        #expect(Set(secrets.map(\.name)).count == secrets.count)
        // The search is able to find: a secret that lives is found, and is not any more when it is overwritten.
        var living = Life.draw(32)
        let control = living.withUnsafeBytes { MaskedSecret("control", $0) }
        let finds = try ProcessMemory.search(for: secrets + [control])
        #expect(finds.contains { $0.name == "control" })
        overwrite(&living)
        #expect(try ProcessMemory.search(for: [control]).isEmpty)
        for find in finds.sorted(by: { $0.name < $1.name }) where find.name != "control" {
            if let known = Self.unpromised.first(where: { $0.covers(find) }) {
                withKnownIssue(known.reason) { Issue.record("\(find.name) is on the \(find.place)") }
            } else {
                Issue.record("\(suite): \(find.name) is on the \(find.place)")
            }
        }
        // What the stack still held is gone once other calls have used it, and nothing else is.
        ProcessMemory.reuseStack()
        let later = try ProcessMemory.search(for: secrets)
        #expect(later.filter { $0.place == .stack }.isEmpty)
        #expect(later.subtracting(finds).isEmpty)
    }

    @Test("a copy that is freed as it is is found, on the heap")
    func forgottenCopy() throws {
        let secret = Self.forgetCopies()
        let finds = try ProcessMemory.search(for: [secret])
        #expect(finds.contains { $0.place == .heap })
    }

    @Test("what a container of secrets held is found while it lives, and not afterwards")
    func container() throws {
        var bytes = Life.draw(32)
        let control = bytes.withUnsafeBytes { MaskedSecret("control", $0) }
        let secret = SecretBytes(taking: &bytes)
        #expect(bytes.allSatisfy { $0 == 0 })
        let finds = try ProcessMemory.search(for: [control])
        #expect(finds.contains { $0.name == "control" && $0.place == .heap })
        Self.end(secret)
        #expect(try ProcessMemory.search(for: [control]).isEmpty)
    }

    // A whole handshake reuses much of what it frees, and that hides copies; so the steps that copied most are also looked
    // at alone, with the search right behind them.

    @Test("making an identity leaves neither its seed nor what is derived from it on the heap")
    func identityAlone() throws {
        var seed = Life.draw(32)
        let secrets = [
            seed.withUnsafeBytes { MaskedSecret("identity seed", $0) },
            deriveKey(from: SymmetricKey(data: seed), label: Label.identityExchange, count: 32).withUnsafeBytes {
                MaskedSecret("identity exchange key", $0)
            },
        ]
        try Self.makeIdentity(&seed)
        let finds = try ProcessMemory.search(for: secrets)
        #expect(finds.filter { $0.place == .heap }.isEmpty)
    }

    @Test("changing a key leaves the old one nowhere on the heap")
    func changeAlone() throws {
        var bytes = Life.draw(44)
        let secrets = bytes.withUnsafeBytes { bytes in
            [
                MaskedSecret("old key", UnsafeRawBufferPointer(rebasing: bytes[..<32])),
                MaskedSecret("old IV", UnsafeRawBufferPointer(rebasing: bytes[32...])),
            ]
        }
        var key = TrafficKey(
            aead: .aes256gcm, key: SymmetricKey(data: bytes[..<32]), iv: SymmetricKey(data: bytes[32...]))
        overwrite(&bytes)
        #expect(try ProcessMemory.search(for: secrets).count { $0.place == .heap } == 2)
        key.advance()
        let finds = try ProcessMemory.search(for: secrets)
        #expect(finds.filter { $0.place == .heap }.isEmpty)
    }

    @Test("deriving a key leaves neither the secret nor the pseudorandom key on the heap")
    func derivationAlone() throws {
        let secrets = Self.derive()
        let finds = try ProcessMemory.search(for: secrets)
        #expect(finds.filter { $0.place == .heap }.isEmpty)
    }

    /// Overwrites the secret and forgets copies of it, which is the mistake that this suite is here to see. They have many
    /// sizes: the search allocates too, and takes some of them.
    @inline(never)
    private static func forgetCopies() -> MaskedSecret {
        var bytes = Life.draw(32)
        let secret = bytes.withUnsafeBytes { MaskedSecret("forgotten", $0) }
        for size in stride(from: 256, to: 1_024, by: 16) {
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
            // Behind what the allocator writes into memory that it was given back.
            for index in bytes.indices { copy[128 + index] = bytes[index] }
            copy.deallocate()
        }
        overwrite(&bytes)
        return secret
    }

    @inline(never)
    private static func makeIdentity(_ seed: inout [UInt8]) throws {
        defer { overwrite(&seed) }
        #expect(try ServerIdentity(id: Sample.alpha, seed: seed).id == Sample.alpha)
    }

    @inline(never)
    private static func derive() -> [MaskedSecret] {
        var bytes = Life.draw(128)
        let secret = bytes.withUnsafeBytes { MaskedSecret("secret", $0) }
        let material = SymmetricKey(data: bytes)
        overwrite(&bytes)
        let salt = [UInt8](repeating: 9, count: 32)
        let pseudorandom = extractKey(from: material, salt: salt).withUnsafeBytes {
            MaskedSecret("pseudorandom key", $0)
        }
        let derived = deriveKey(from: material, salt: salt, info: [1], count: 32)
        return [secret, pseudorandom, derived.withUnsafeBytes { MaskedSecret("derived key", $0) }]
    }

    private static func end(_ secret: consuming SecretBytes) {
        #expect(secret.count == 32)
    }
}

/// A handshake between two servers from the drawing of their seeds to the last record. Everything but the masked copies of
/// its secrets is dead when ``secrets()`` returns.
private struct Life {
    let suite: CipherSuite

    init(_ suite: CipherSuite) {
        self.suite = suite
    }

    /// Masked copies, and the encapsulated secrets for as long as they are needed.
    private final class Notes: Sendable {
        let masked = Mutex<[MaskedSecret]>([])
        let encapsulated = Mutex<[String: SymmetricKey]>([:])

        func note(_ name: String, _ key: SymmetricKey) {
            key.withUnsafeBytes { note(name, $0) }
        }

        func note(_ name: String, _ bytes: UnsafeRawBufferPointer) {
            let secret = MaskedSecret(name, bytes)
            masked.withLock { $0.append(secret) }
        }
    }

    /// One server, and what it draws for this handshake.
    private struct Side: ~Copyable {
        let identity: ServerIdentity
        let ephemeral: Curve25519.KeyAgreement.PrivateKey
        var machine: Handshake

        init(_ id: ServerID, suite: CipherSuite, notes: Notes) throws {
            let name = id.rawValue
            var seed = draw(32)
            seed.withUnsafeBytes { notes.note("\(name): identity seed", $0) }
            let identity = try ServerIdentity(id: id, seed: seed)
            notes.note(
                "\(name): identity exchange key",
                deriveKey(from: SymmetricKey(data: seed), label: Label.identityExchange, count: 32))
            overwrite(&seed)
            var x25519 = draw(32)
            var mlkem = draw(64)
            x25519.withUnsafeBytes { notes.note("\(name): X25519 ephemeral key", $0) }
            mlkem.withUnsafeBytes { notes.note("\(name): ML-KEM seed", $0) }
            let entropy = HandshakeEntropy(x25519: SecretBytes(taking: &x25519), mlkem: SecretBytes(taking: &mlkem))
            let ephemeral = try entropy.ephemeralKey()
            let encapsulation = KeyEncapsulation { key in
                let result = try KeyEncapsulation.system.encapsulate(key)
                let secret = result.sharedSecret.key
                notes.note("\(name): ML-KEM secret", secret)
                notes.encapsulated.withLock { $0[name] = secret }
                return result
            }
            let machine = try Handshake(
                identity: identity, expecting: nil,
                configuration: HandshakeConfiguration(suites: [suite], encapsulation: encapsulation), entropy: entropy,
                at: Sample.time)
            self.identity = identity
            self.ephemeral = ephemeral
            self.machine = machine
        }
    }

    static func draw(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        var bytes = [UInt8](repeating: 0, count: count)
        for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &generator) }
        return bytes
    }

    @inline(never)
    func secrets() throws -> [MaskedSecret] {
        let notes = Notes()
        try run(notes)
        return notes.masked.withLock { $0 }
    }

    @inline(never)
    private func run(_ notes: Notes) throws {
        var first = try Side(Sample.alpha, suite: suite, notes: notes)
        var second = try Side(Sample.beta, suite: suite, notes: notes)
        let hellos = [first.machine.helloMessage, second.machine.helloMessage]
        let signatures = [
            try first.machine.receive(hello: hellos[1], at: Sample.time),
            try second.machine.receive(hello: hellos[0], at: Sample.time),
        ]
        try noteSecret(first, hellos, signatures, notes)
        _ = try first.machine.receive(signature: signatures[1])
        _ = try second.machine.receive(signature: signatures[0])
        let one = try first.machine.complete(trusting: second.identity.publicKey)
        let other = try second.machine.complete(trusting: first.identity.publicKey)
        notes.note("exporter secret", one.exporterSecret.key)
        notes.note("exported bytes", one.export("test", count: 32).key)
        try exchange(
            one.records(recordsPerKey: 2, keyLifetime: .seconds(3_600)),
            other.records(recordsPerKey: 2, keyLifetime: .seconds(3_600)), notes)
    }

    /// Computes what `complete` computes inside, with the same functions: what they leave behind is found, whoever called.
    private func noteSecret(
        _ side: borrowing Side, _ hellos: [[UInt8]], _ signatures: [[UInt8]], _ notes: Notes
    ) throws {
        let keys = try hellos.map { try HandshakeChallenge.decode($0, versions: .current).ephemeralKey }
        let peerExchange = try HandshakeResponse.decode(signatures[1], suite: suite).exchangeKey
        notes.note("X25519 of ephemeral keys", try #require(X25519.agree(side.ephemeral, with: keys[1])))
        notes.note("X25519 of identities", try #require(side.identity.agree(with: peerExchange)))
        let order = keys[0].lexicographicallyPrecedes(keys[1]) ? [0, 1] : [1, 0]
        let transcript = completeTranscript(
            helloHash: canonicalTranscript(low: hellos[order[0]], high: hellos[order[1]]),
            lowSignature: signatures[order[0]], highSignature: signatures[order[1]])
        let secret = try peerKeyExchange(
            ephemeral: side.ephemeral, peerEphemeral: keys[1], identity: side.identity, peerExchange: peerExchange,
            encapsulated: try encapsulated(order, notes))
        #expect(secret.count == (suite.isHybrid ? 128 : 64))
        notes.note("pseudorandom key", extractKey(from: secret.key, salt: transcript))
    }

    /// What both sides encapsulated; nil in a classical suite.
    private func encapsulated(_ order: [Int], _ notes: Notes) throws -> EncapsulatedSecrets? {
        guard suite.isHybrid else { return nil }
        let drawn = notes.encapsulated.withLock { [$0["alpha"], $0["beta"]] }
        return EncapsulatedSecrets(
            low: SecretBytes(try #require(drawn[order[0]])), high: SecretBytes(try #require(drawn[order[1]])))
    }

    /// Six frames each way under keys that last for two.
    private func exchange(_ one: consuming RecordLayer, _ other: consuming RecordLayer, _ notes: Notes) throws {
        var one = one
        var other = other
        for number in 0..<6 {
            try pass([UInt8(number)], from: &one, to: &other)
            try pass([UInt8(number)], from: &other, to: &one)
            // The first, third and fifth frame are the first ones under their key.
            guard number.isMultiple(of: 2) else { continue }
            notes.note("outbound key \(number / 2)", one.outbound.key)
            notes.note("inbound key \(number / 2)", one.inbound.key)
            notes.note("outbound IV \(number / 2)", one.outbound.iv)
            notes.note("inbound IV \(number / 2)", one.inbound.iv)
        }
        #expect(one.outbound.counter > 0)
    }

    private func pass(_ frame: [UInt8], from sender: inout RecordLayer, to receiver: inout RecordLayer) throws {
        for record in try sender.seal(frame, at: Sample.instant) { _ = try receiver.open(record) }
    }
}
