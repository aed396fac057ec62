import FederationModel
import FederationService
import FederationWebSocket
import FederationWire
import NIOCore
import Synchronization

/// Carries one channel's inputs to the host, in order and one at a time: the calls that ``PeerTransport`` promises.
struct PeerChannelDriver: Sendable {
    let host: any PeerChannelHost
    let socket: PeerSocket
    let inbox: Inbox<PeerInput>
    let end: PeerChannelEndBox
    let direction: ChannelDirection
    let peer: ServerID?
    let remote: String

    /// Runs until the channel is over.
    ///
    /// - Parameter established: Called when the handshake is completed.
    func run(established: @Sendable () async -> Void = {}) async -> PeerChannelEnd {
        let opened: OpenedChannel
        do {
            opened = try await host.openChannel(direction, peer: peer, remote: remote, sink: socket)
        } catch {
            socket.close(error.code)
            for await _ in inbox {}
            return end.value
        }
        socket.continueHandshake(sending: [opened.hello])
        while true {
            let inputs = await inbox.next(
                atMost: PeerLimits.handlingRun, weighing: { $0.payloadBytes }, upTo: PeerLimits.handlingBytes)
            guard !inputs.isEmpty else { break }
            await handle(inputs, opened.id, established)
        }
        await host.channelClosed(opened.id)
        return end.value
    }

    /// What came together. A handshake message is never behind a frame: frames are taken once the handshake is completed.
    private func handle(_ inputs: [PeerInput], _ id: ChannelID, _ established: @Sendable () async -> Void) async {
        var frames: [FederationFrame] = []
        for input in inputs {
            switch input {
            case .handshake(let message): await handshake(message, id, established)
            case .frame(let frame): frames.append(frame)
            }
        }
        if !frames.isEmpty { await host.receive(frames, on: id) }
    }

    /// Refuses the channel before the host hears of it.
    func refuse(_ code: CloseCode) async -> PeerChannelEnd {
        socket.close(code)
        for await _ in inbox {}
        return end.value
    }

    private func handshake(_ message: [UInt8], _ id: ChannelID, _ established: @Sendable () async -> Void) async {
        switch await host.receiveHandshake(message, on: id) {
        case .send(let messages):
            socket.continueHandshake(sending: messages)
        case .established(let messages):
            // The service may have dropped the channel meanwhile, for another one or because the peer was suspended: then
            // it closes it with the reason, and the handshake's timer stands behind that.
            guard let records = await host.takeRecords(for: id) else { return }
            socket.establish(sending: messages, records: records)
            await established()
        case .close(let code):
            socket.close(code)
        }
    }
}

/// Where the handler leaves how its channel ended.
final class PeerChannelEndBox: Sendable {
    private let end = Mutex<PeerChannelEnd?>(nil)

    /// The end; lost, as long as nothing else is known.
    var value: PeerChannelEnd {
        end.withLock { $0 }
            ?? PeerChannelEnd(wasEstablished: false, closure: WebSocketClosure(origin: .lost, code: 1006))
    }

    func set(_ value: PeerChannelEnd) {
        end.withLock { $0 = value }
    }
}
