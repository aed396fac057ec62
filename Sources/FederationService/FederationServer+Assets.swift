import FederationCore
import FederationCrypto
import FederationModel
import FederationWire
import Metrics

/// Assets between servers: answers to peers, and questions to them.
extension FederationServer {
    // MARK: Answers

    /// Reads what a trusted peer asks for and sends it. A peer may have ``Limits/assetRequestsInFlight`` on the way.
    func serve(_ request: FederationFrame.AssetRequest, on channel: ChannelID) {
        let inFlight = assetReadsInFlight[channel, default: 0]
        guard inFlight < Limits.assetRequestsInFlight * 2 else {
            answer(request, .refused("asset.busy"), on: channel)
            return
        }
        assetReadsInFlight[channel] = inFlight + 1
        Task {
            let answer: FederationFrame.AssetResponse.Answer
            do {
                let bytes = try await self.assets.read(request.hash, offset: request.offset, length: request.length)
                answer = bytes.map { .chunk($0) } ?? .refused("asset.unknown")
            } catch {
                self.logger.error("an asset could not be read: \(error)", metadata: ["asset": "\(request.hash)"])
                answer = .refused("asset.failed")
            }
            self.served(request, answer, on: channel)
        }
    }

    private func served(
        _ request: FederationFrame.AssetRequest, _ answer: FederationFrame.AssetResponse.Answer, on channel: ChannelID
    ) {
        if let inFlight = assetReadsInFlight[channel] {
            assetReadsInFlight[channel] = inFlight > 1 ? inFlight - 1 : nil
        }
        self.answer(request, answer, on: channel)
    }

    private func answer(
        _ request: FederationFrame.AssetRequest, _ answer: FederationFrame.AssetResponse.Answer, on channel: ChannelID
    ) {
        channels[channel]?.sink.send(
            .assetResponse(FederationFrame.AssetResponse(request: request.request, answer: answer)))
    }

    // MARK: Questions

    /// How long a peer may take to answer one request.
    private static let answerTime: Duration = .seconds(10)

    /// Sends a question to a peer and waits for its answer, for a bounded time. When the channel closes meanwhile and
    /// another is open, as after two simultaneous dials, the question is asked again there: asking twice is harmless.
    func ask(
        _ peer: ServerID, _ question: (UInt64) -> FederationFrame
    ) async throws(Refusal) -> PendingRequests.Answer {
        for _ in 1..<Self.askingAttempts {
            let asked = node.channel(to: peer)
            do {
                return try await askOnce(peer, question)
            } catch {
                guard error.code == Self.disconnected, let channel = node.channel(to: peer), channel != asked else {
                    throw error
                }
            }
        }
        return try await askOnce(peer, question)
    }

    private static let askingAttempts = 3
    static let disconnected = "peer.disconnected"
    static let silent = "peer.silent"

    private func askOnce(
        _ peer: ServerID, _ question: (UInt64) -> FederationFrame
    ) async throws(Refusal) -> PendingRequests.Answer {
        guard !Task.isCancelled, let channel = node.channel(to: peer), let sink = channels[channel]?.sink else {
            throw Self.refused(Self.disconnected, "there is no open channel to \(peer)", peer)
        }
        let request = requests.nextRequest()
        let frame = question(request)
        let clock = clock
        let deadline = clock.now().instant + Self.answerTime
        let timeout = Task {
            guard (try? await clock.sleep(until: deadline)) != nil else { return }
            self.expire(request)
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                requests.wait(for: request, from: peer, continuation)
                sink.send(frame)
            }
        } onCancel: {
            Task { await self.expire(request) }
        }
        timeout.cancel()
        switch result {
        case .success(let answer): return answer
        case .failure(.disconnected):
            throw Self.refused(Self.disconnected, "the channel to \(peer) closed", peer)
        case .failure(.timeout):
            throw Self.refused(Self.silent, "\(peer) did not answer within \(Self.answerTime)", peer)
        }
    }

    private func expire(_ request: UInt64) {
        requests.expire(request)
    }

    static func refused(_ code: String, _ reason: String, _ peer: ServerID) -> Refusal {
        Refusal(
            .conflict, code: code, reason: reason,
            remedy: "nobody crosses until \(peer) publishes what it promises; tell its operator", step: .verification)
    }
}
