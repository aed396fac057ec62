import FederationCrypto
import FederationModel
import FederationWire
import Testing

@testable import FederationCore

/// What a node answers to a frame of each kind, by what the frame came on.
@Suite("Channel: every frame in every state")
struct ChannelStateTests {
    enum State: CaseIterable {
        /// A channel that there is not.
        case none
        /// The peer has proved its key, and not yet that it has the channel's keys.
        case beforeReady
        case established
        /// The same side has dialled again since.
        case replaced
        /// Established, and the trust that it gave has run out.
        case expired
    }

    enum Kind: CaseIterable {
        case ready, heartbeat, acknowledgement, worldRequest, worldResponse, assetRequest, assetResponse
        case offer, accept, reject, commit, admitted, abort, query, verdict
        case position, evidence, recall, notice, introductions, probe, probeResult

        init(_ frame: FederationFrame) {
            switch frame {
            case .ready: self = .ready
            case .heartbeat: self = .heartbeat
            case .acknowledgement: self = .acknowledgement
            case .worldRequest: self = .worldRequest
            case .worldResponse: self = .worldResponse
            case .assetRequest: self = .assetRequest
            case .assetResponse: self = .assetResponse
            case .offer: self = .offer
            case .accept: self = .accept
            case .reject: self = .reject
            case .commit: self = .commit
            case .admitted: self = .admitted
            case .abort: self = .abort
            case .query: self = .query
            case .verdict: self = .verdict
            case .position: self = .position
            case .evidence: self = .evidence
            case .recall: self = .recall
            case .notice: self = .notice
            case .introductions: self = .introductions
            case .probe: self = .probe
            case .probeResult: self = .probeResult
            }
        }
    }

    /// A frame of beta's, and alpha's answer where the channel is established. Nothing came before it.
    struct Case: Sendable {
        let frame: FederationFrame
        let answer: [String]

        init(_ frame: FederationFrame, _ answer: [String]) {
            self.frame = frame
            self.answer = answer
        }
    }

    static let table: [Case] = {
        let beta = ServerID(unchecked: "beta")
        let handoff = HandoffSamples.id(1)
        let heartbeat = FederationFrame.Heartbeat(sequence: 99, sentAt: HandshakePair.start.timestamp)
        let foreign = PlayerID(name: PlayerName(unchecked: "ada"), home: ServerID(unchecked: "alpha"))
        let own = PlayerID(name: PlayerName(unchecked: "ada"), home: beta)
        func recalled(_ player: PlayerID) -> FederationFrame.RecalledPlayer { .init(player: player, epoch: .first) }
        return [
            Case(.ready(.init(server: beta)), ["close protocolError", "report channel of beta closed"]),
            Case(.heartbeat(heartbeat), ["send acknowledgement"]),
            // To a heartbeat that was never sent.
            Case(.acknowledgement(heartbeat), ["report late"]),
            Case(.worldRequest(.init(request: 1, world: WorldID(unchecked: "alpha"))), ["send world response"]),
            Case(.worldResponse(.init(request: 1, answer: .refused("a.b"))), ["world answered by beta"]),
            Case(.assetRequest(.init(request: 1, hash: ContentHash.of([]), offset: 0, length: 1)), ["serve asset"]),
            Case(.assetResponse(.init(request: 1, answer: .chunk([]))), ["asset answered by beta"]),
            Case(
                .offer(.init(handoff: handoff, token: "x", snapshot: [])),
                ["report refused token.malformed", "send reject token.malformed"]),
            // Presumed abort: what is not in the ledger never happens.
            Case(.accept(handoff), ["send abort"]),
            Case(
                .reject(.init(handoff: handoff, code: "world.full", reason: "")), ["report refused handoff.unknown"]),
            Case(.commit(.init(handoff: handoff, token: "x")), ["send reject handoff.unknown"]),
            Case(.admitted(.init(handoff: handoff, receipt: "x")), ["report refused receipt.invalid"]),
            Case(.abort(handoff), []),
            Case(.query(handoff), ["send verdict aborted"]),
            Case(.verdict(.init(handoff: handoff, decision: .undecided)), []),
            Case(.verdict(.init(handoff: handoff, decision: .committed(token: "x"))), []),
            Case(.verdict(.init(handoff: handoff, decision: .aborted)), []),
            Case(.position(0), []),
            Case(.evidence(["x"]), ["report refused evidence.invalid"]),
            Case(.recall([recalled(foreign)]), ["report refused recall.foreign"]),
            Case(.recall([recalled(own)]), ["persist recall"]),
            Case(.notice(.card("x")), ["report notice refused card.refused"]),
            Case(.notice(.revocation("x")), ["report notice refused key.badRevocation"]),
            Case(.introductions(.init(statements: ["x"])), ["report refused introduction.refused"]),
            Case(.probe(.init(request: 1, server: ServerID(unchecked: "gamma"))), ["send probe result"]),
            // Nobody was asked.
            Case(.probeResult(.init(request: 1, reached: true)), []),
        ]
    }()

    /// Alpha and beta, with a channel of alpha's in `state`.
    struct Scene {
        let federation: TestFederation
        let alpha: TestNode
        let beta: TestNode
        let channel: ChannelID
        /// Beta's Ready, where alpha is still to get it.
        let ready: [UInt8]?
        private let now: Now

        init(_ state: State) throws {
            federation = try TestFederation(["alpha", "beta"], trustLifetime: .seconds(3_600))
            alpha = federation.node("alpha")
            beta = federation.node("beta")
            var now = federation.now
            var ready: [UInt8]?
            switch state {
            case .none:
                channel = ChannelID(999)
            case .beforeReady:
                let begun = try Self.handshake(federation, alpha, beta)
                channel = begun.channel
                ready = begun.ready
            case .established, .expired:
                channel = try #require(try federation.connect(alpha, beta)).channels.0
                try federation.settle()
                now = federation.now
                if state == .expired {
                    now = Now(instant: now.instant + .seconds(3_600), timestamp: now.timestamp + .seconds(3_600))
                }
            case .replaced:
                channel = try #require(try federation.connect(alpha, beta)).channels.0
                try federation.settle()
                try #require(try federation.connect(alpha, beta) != nil)
                now = federation.now
            }
            self.ready = ready
            self.now = now
        }

        /// A handshake that beta dialled, up to where alpha awaits its Ready.
        private static func handshake(
            _ federation: TestFederation, _ alpha: TestNode, _ beta: TestNode
        ) throws -> (channel: ChannelID, ready: [UInt8]) {
            let (here, there) = (alpha.newChannel(), beta.newChannel())
            let now = federation.now
            func sent(_ step: FederationNode.ChannelStep) throws -> [UInt8] {
                guard case .send(let messages) = step, messages.count == 1 else { throw Violation("\(step)") }
                return messages[0]
            }
            let betaHello = try beta.node.openChannel(
                there, direction: .outgoing, expecting: alpha.id, entropy: HandshakeEntropy(using: &federation.random),
                at: now)
            let alphaHello = try alpha.node.openChannel(
                here, direction: .incoming, expecting: nil, entropy: HandshakeEntropy(using: &federation.random),
                at: now)
            func hear(_ node: TestNode, _ message: [UInt8]) throws -> [UInt8] {
                let (channel, direction) = node === alpha ? (here, ChannelDirection.incoming) : (there, .outgoing)
                return try sent(node.node.receiveHandshake(message, on: channel, direction: direction, at: now).0)
            }
            let alphaSignature = try hear(alpha, betaHello)
            let betaSignature = try hear(beta, alphaHello)
            _ = try hear(alpha, betaSignature)
            return (here, try hear(beta, alphaSignature))
        }

        func hear(_ frame: FederationFrame) -> [String] {
            alpha.node.receive(frame, on: channel, at: now).labels
        }
    }

    @Test("the table has every kind of frame")
    func isComplete() {
        #expect(Set(Self.table.map { Kind($0.frame) }) == Set(Kind.allCases))
    }

    @Test(
        "a frame has the answer of its kind, or none where there is no channel for it", arguments: Kind.allCases,
        State.allCases)
    func answer(kind: Kind, state: State) throws {
        for entry in Self.table where Kind(entry.frame) == kind {
            let scene = try Scene(state)
            let kept = scene.alpha.node.channel(to: scene.beta.id)
            let labels = scene.hear(entry.frame)
            let left = scene.alpha.node.channel(to: scene.beta.id)
            switch state {
            case .none, .replaced:
                #expect(labels == [] && left == kept)
            case .beforeReady:
                #expect(labels == [] && left == nil)
                // And the handshake goes on as if nothing had come.
                let (step, _) = scene.alpha.node.receiveHandshake(
                    try #require(scene.ready), on: scene.channel, direction: .incoming, at: scene.federation.now)
                #expect(step == .established([]))
            case .established:
                #expect(labels == entry.answer)
                #expect(left == (kind == .ready ? nil : scene.channel))
            case .expired:
                #expect(labels == ["close trustExpired", "report channel of beta closed"] && left == nil)
            }
        }
    }
}
