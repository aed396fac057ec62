import FederationModel
import TestKit
import Testing

@testable import FederationCrypto

@Suite("Handshake: every message in every state")
struct HandshakeStateTests {
    enum State: CaseIterable {
        case awaitingHello
        case awaitingSignature
        case awaitingTrust
        case over
    }

    enum Message: CaseIterable {
        case hello
        case signature
        case trust
        case record
        case nothing
    }

    /// Why `message` is refused in `state`, given as a Hello or as a Signature; nil where it is due.
    static func refusal(of message: Message, asHello: Bool, in state: State) -> Handshake.Failure? {
        if message == .trust {
            switch state {
            case .awaitingHello: return .invalidState("the peer has not said Hello yet")
            case .awaitingSignature: return .invalidState("the peer has not proved a key yet")
            case .awaitingTrust: return nil
            case .over: return .invalidState("the handshake is over")
            }
        }
        let name = asHello ? "Hello" : "Signature"
        switch state {
        case .awaitingTrust: return .invalidState("\(name) before the peer's key was confirmed")
        case .over: return .invalidState("\(name) after the end of the handshake")
        case .awaitingHello where !asHello: return .invalidState("Signature where Hello is due")
        case .awaitingSignature where asHello: return .invalidState("Hello where Signature is due")
        case .awaitingHello, .awaitingSignature: break
        }
        switch message {
        case .hello: return asHello ? nil : .invalidState("a message of kind 1 where Signature is due")
        case .signature: return asHello ? .invalidState("a message of kind 2 where Hello is due") : nil
        case .record: return .invalidState("a message of kind 171 where \(name) is due")
        case .nothing: return .malformed("the kind of message is cut short")
        case .trust: return nil
        }
    }

    /// A machine in `state`, and its peer's messages.
    struct Scene: ~Copyable {
        var machine: Handshake
        let hello: [UInt8]
        let signature: [UInt8]
        let key: PublicKey

        init(_ state: State) throws {
            let alpha = try Sample.identity(Sample.alpha, 1)
            let beta = try Sample.identity(Sample.beta, 2)
            var machine = try Sample.handshake(alpha, entropy: 1)
            var peer = try Sample.handshake(beta, entropy: 2)
            let hello = peer.helloMessage
            let signature = try peer.receive(hello: machine.helloMessage, at: Sample.time)
            if state != .awaitingHello { _ = try machine.receive(hello: hello, at: Sample.time) }
            if state == .awaitingTrust || state == .over { _ = try machine.receive(signature: signature) }
            if state == .over { _ = try machine.complete(trusting: beta.publicKey) }
            self.machine = machine
            self.hello = hello
            self.signature = signature
            key = beta.publicKey
        }

        mutating func give(_ message: Message, asHello: Bool) throws(Handshake.Failure) {
            switch message {
            case .hello: try give(hello, asHello: asHello)
            case .signature: try give(signature, asHello: asHello)
            case .trust: _ = try machine.complete(trusting: key)
            case .record: try give([UInt8](repeating: 0xAB, count: 64), asHello: asHello)
            case .nothing: try give([], asHello: asHello)
            }
        }

        private mutating func give(_ bytes: [UInt8], asHello: Bool) throws(Handshake.Failure) {
            if asHello {
                _ = try machine.receive(hello: bytes, at: Sample.time)
            } else {
                _ = try machine.receive(signature: bytes)
            }
        }
    }

    @Test(
        "only what is due is taken, and everything else ends the handshake", arguments: State.allCases, Message.allCases
    )
    func table(state: State, message: Message) throws {
        for asHello in [true, false] {
            var scene = try Scene(state)
            let refusal = failure { () throws(Handshake.Failure) in try scene.give(message, asHello: asHello) }
            #expect(
                refusal == Self.refusal(of: message, asHello: asHello, in: state), "\(state) \(message) \(asHello)")
            guard let refusal else { continue }
            #expect(refusal.closeCode == .protocolError)
            // Terminal: even what was due before is refused now.
            for later in Message.allCases {
                for asHello in [true, false] {
                    let refusal = failure { () throws(Handshake.Failure) in try scene.give(later, asHello: asHello) }
                    #expect(
                        refusal == Self.refusal(of: later, asHello: asHello, in: .over),
                        "\(state) then \(message) then \(later)")
                }
            }
        }
    }

    @Test("a Hello cut short anywhere, or with a byte too many, is refused")
    func truncatedHello() throws {
        let beta = try Sample.identity(Sample.beta, 2)
        let hello = try Sample.handshake(beta, expecting: Sample.alpha, entropy: 2).helloMessage
        let parsed = try HandshakeChallenge.decode(hello, versions: .current)
        #expect(parsed.encoded() == hello)
        for length in 0..<hello.count {
            #expect(throws: Handshake.Failure.self) {
                try HandshakeChallenge.decode(Array(hello.prefix(length)), versions: .current)
            }
        }
        #expect(throws: Handshake.Failure.self) { try HandshakeChallenge.decode(hello + [0], versions: .current) }
    }

    @Test("a Signature cut short anywhere, or with a byte too many, is refused")
    func truncatedSignature() throws {
        let scene = try Scene(.awaitingSignature)
        let parsed = try HandshakeResponse.decode(scene.signature, suite: .hybridAES256GCM)
        #expect(parsed.encoded() == scene.signature)
        for length in 0..<scene.signature.count {
            #expect(throws: Handshake.Failure.self) {
                try HandshakeResponse.decode(Array(scene.signature.prefix(length)), suite: .hybridAES256GCM)
            }
        }
        #expect(throws: Handshake.Failure.self) {
            try HandshakeResponse.decode(scene.signature + [0], suite: .hybridAES256GCM)
        }
        #expect(throws: Handshake.Failure.self) {
            try HandshakeResponse.decode(scene.signature, suite: .classicalAES256GCM)
        }
    }

    @Test("a message over its bound is refused before it is read")
    func oversized() throws {
        let size = Limits.handshakeMessageBytes + 1
        #expect(throws: Handshake.Failure.oversized(size)) {
            try HandshakeChallenge.decode([UInt8](repeating: 1, count: size), versions: .current)
        }
        #expect(throws: Handshake.Failure.oversized(size)) {
            try HandshakeResponse.decode([UInt8](repeating: 2, count: size), suite: .hybridAES256GCM)
        }
    }

    @Test("whatever parses is encoded in exactly one way", arguments: 0..<8)
    func oneEncoding(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let beta = try Sample.identity(Sample.beta, 2)
        let hello = try Sample.handshake(beta, suites: [.classicalAES256GCM], entropy: 2).helloMessage
        for _ in 0..<2_000 {
            var mutant = hello
            for _ in 0...Int.random(in: 0..<3, using: &generator) {
                mutant[Int.random(in: 0..<mutant.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) {
                mutant.remove(at: Int.random(in: 0..<mutant.count, using: &generator))
            }
            guard let parsed = try? HandshakeChallenge.decode(mutant, versions: .current) else { continue }
            let canonical = parsed.encoded()
            // A higher version may append what is not understood here.
            #expect(parsed.versions.maximum > 1 ? mutant.starts(with: canonical) : mutant == canonical)
        }
    }
}
