import FederationCore
import FederationCrypto
import FederationModel

/// A whole handshake: a server, an honest peer, and somebody between them who changes what the peer sends. An input is
/// a script. The server must complete with the peer's own messages in their order, and with nothing else.
public enum HandshakeTarget: FuzzTarget {
    public static let name = "handshake"

    fileprivate static let channel = ChannelID(1)

    /// What a step of a script does.
    fileprivate enum Step: UInt8, CaseIterable {
        /// The peer's next message arrives.
        case genuine
        /// The same with up to eight bytes changed.
        case changed
        /// The same, cut or with bytes after it.
        case resized
        /// Somebody sends bytes.
        case forged
        /// The server's own last message comes back.
        case reflected
        /// The peer's last message comes again.
        case repeated
        /// Seconds pass.
        case later
    }

    public static func run(_ input: [UInt8]) throws(Violation) -> Bool {
        var source = ByteSource(input)
        var stage = HandshakeStage(source.byte(), try Subjects.required())
        try stage.begin()
        for _ in 0..<12 where !source.isEmpty {
            let step = Step.allCases[Int(source.byte()) % Step.allCases.count]
            try stage.run(step, &source)
        }
        return stage.isCompleted
    }

    public static func seeds() -> [[UInt8]] {
        let good: [[UInt8]] = (UInt8(0)..<4).map { options in [options] + genuine(3) }
        return good + attacks().map { attack in [0] + attack }
    }

    private static func genuine(_ count: Int) -> [UInt8] {
        [UInt8](repeating: Step.genuine.rawValue, count: count)
    }

    /// Ends that still complete, so that each seed is accepted: a search begins where something is to be broken.
    private static func attacks() -> [[UInt8]] {
        [
            [Step.later.rawValue, 20] + genuine(3),
            genuine(1) + [Step.changed.rawValue, 0, 40, 0, 0] + genuine(1),
            [Step.resized.rawValue, 0, 0, 0, 0] + genuine(2),
            genuine(3) + [Step.repeated.rawValue, Step.reflected.rawValue],
            genuine(3) + [Step.forged.rawValue, 0, 2, 1, 2],
        ]
    }
}

private struct HandshakeStage: ~Copyable {
    private var server: HandshakeManager
    private var peer: HandshakeManager
    private let trust: PeerTrust
    private let isDialler: Bool
    /// The peer's messages that have not arrived yet, first one first.
    private var outbox: [[UInt8]] = []
    private var lastFromPeer: [UInt8] = []
    private var lastFromServer: [UInt8] = []
    private var now = Now(instant: Instant(nanoseconds: 0), timestamp: Subjects.time)
    /// Whether something else arrived than the peer's messages in their order.
    private var isTampered = false
    private var isFailed = false
    private(set) var isCompleted = false

    /// `options`: bit 0 a classical suite, bit 1 the server dials, bits 2 and 3 what trust policy says of the peer.
    init(_ options: UInt8, _ subjects: Subjects) {
        let suite: CipherSuite = options & 1 == 0 ? .hybridAES256GCM : .classicalChaCha20Poly1305
        let configuration = HandshakeConfiguration(suites: [suite], encapsulation: FixedEncapsulation.strategy)
        server = HandshakeManager(identity: subjects.alpha, configuration: configuration)
        peer = HandshakeManager(identity: subjects.beta, configuration: configuration)
        trust =
            switch options >> 2 & 3 {
            case 0: .bound(subjects.beta.publicKey)
            case 1: .bound(subjects.alpha.publicKey)
            case 2: .suspended
            default: .unknown
            }
        isDialler = options & 2 != 0
    }

    /// Both sides open the channel and say Hello; the server's arrives at once.
    mutating func begin() throws(Violation) {
        do {
            lastFromServer = try server.initiate(
                HandshakeTarget.channel, direction: isDialler ? .outgoing : .incoming,
                expecting: isDialler ? Subjects.betaID : nil, entropy: Subjects.entropy(1), at: now)
            let hello = try peer.initiate(
                HandshakeTarget.channel, direction: isDialler ? .incoming : .outgoing,
                expecting: isDialler ? nil : Subjects.alphaID, entropy: Subjects.entropy(2), at: now)
            outbox = [hello]
        } catch {
            throw Violation("a handshake cannot begin: \(error)")
        }
        try answer(lastFromServer)
    }

    /// Hands the peer what the server has sent.
    private mutating func answer(_ message: [UInt8]) throws(Violation) {
        guard let key = Subjects.shared?.alpha.publicKey else { return }
        guard let step = try? peer.receive(message, on: HandshakeTarget.channel, at: now, trust: { _ in .bound(key) })
        else { return }
        switch step {
        case .send(let message): outbox.append(message)
        case .sendAll(let messages): outbox += messages
        case .completed: break
        }
    }

    mutating func run(_ step: HandshakeTarget.Step, _ source: inout ByteSource) throws(Violation) {
        switch step {
        case .genuine:
            try deliverNext { $0 }
        case .changed:
            let position = source.word()
            let changes = source.bytes(1 + Int(source.byte() & 7))
            try deliverNext { message in
                guard !message.isEmpty else { return message }
                var message = message
                for (offset, change) in changes.enumerated() {
                    message[(position + offset) % message.count] ^= change
                }
                return message
            }
        case .resized:
            let cut = source.word()
            let added = source.bytes(source.word())
            try deliverNext { message in Array(message.dropLast(cut % (message.count + 1))) + added }
        case .forged:
            isTampered = true
            try deliver(source.bytes(source.word()))
        case .reflected:
            isTampered = true
            try deliver(lastFromServer)
        case .repeated:
            isTampered = true
            try deliver(lastFromPeer)
        case .later:
            let pause = Duration.seconds(Int(source.byte()))
            now = Now(instant: now.instant + pause, timestamp: now.timestamp + pause)
        }
    }

    private mutating func deliverNext(_ change: ([UInt8]) -> [UInt8]) throws(Violation) {
        guard !outbox.isEmpty else { return }
        lastFromPeer = outbox.removeFirst()
        let message = change(lastFromPeer)
        if message != lastFromPeer { isTampered = true }
        try deliver(message)
    }

    private mutating func deliver(_ message: [UInt8]) throws(Violation) {
        let trust = trust
        let step: HandshakeStep
        do {
            step = try server.receive(message, on: HandshakeTarget.channel, at: now) {
                $0 == Subjects.betaID ? trust : .unknown
            }
        } catch {
            try require(!error.refusal.description.isEmpty, "a failure that says nothing")
            try require(error.closeCode != .internalError, "the peer's fault is taken for the server's own: \(error)")
            isFailed = true
            return try requireEnded()
        }
        try require(!isFailed, "a failed handshake goes on")
        switch step {
        case .send(let message): try reply([message])
        case .sendAll(let messages): try reply(messages)
        case .completed(let verified, _):
            isCompleted = true
            try require(!isTampered, "a handshake completed with messages that the peer did not send")
            try require(verified.serverID == Subjects.betaID, "completed with \(verified.serverID)")
            try require(trust == .bound(verified.publicKey), "completed with a key that is not the bound one")
            try require(outbox.isEmpty, "completed before the peer had said everything")
        }
    }

    private mutating func reply(_ messages: [[UInt8]]) throws(Violation) {
        for message in messages {
            try require(message.count <= Limits.handshakeMessageBytes, "a message of \(message.count) bytes")
            lastFromServer = message
            try answer(message)
        }
    }

    /// After a failure nothing is open and nobody is trusted through this channel.
    private func requireEnded() throws(Violation) {
        try require(server.unfinishedCount == 0, "a failed handshake counts as unfinished")
        switch server.phase(of: HandshakeTarget.channel) {
        case .failed: break
        case let phase: throw Violation("failed, and the phase is \(String(describing: phase))")
        }
        try require(!server.isTrusted(Subjects.betaID, at: now), "trusted after a failure on its only channel")
    }
}
