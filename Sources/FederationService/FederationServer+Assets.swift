import FederationCore
import FederationCrypto
import FederationModel
import FederationWire
import Metrics

/// Assets between servers: answers to peers, and questions to them.
extension FederationServer {
    // MARK: Answers

    /// Reads what a trusted peer asks for and sends it; refused when so many of its requests are not answered yet.
    func serve(_ request: FederationFrame.AssetRequest, on channel: ChannelID) {
        // What was to be done first may have taken longer than the channel stood.
        guard channels[channel] != nil else { return }
        guard assetReads[channel, default: AssetReads()].take(request) else {
            return answer(request, .refused("asset.busy"), on: channel)
        }
        sendReader(on: channel)
    }

    /// For what waits, unless a reader is on its way or there are enough.
    private func sendReader(on channel: ChannelID) {
        guard assetReads[channel]?.needsReader() == true else { return }
        Task { await self.answerWaiting(on: channel) }
    }

    /// Answers what waits, group by group, until nothing does.
    private func answerWaiting(on channel: ChannelID) async {
        assetReads[channel]?.readerCame()
        while let group = assetReads[channel]?.next() {
            // More than one takes may have come together: it does not wait for this one.
            sendReader(on: channel)
            let answers = await read(group)
            assetReads[channel]?.answered(group.count)
            for (request, answer) in zip(group, answers) { self.answer(request, answer, on: channel) }
        }
        if assetReads[channel]?.isOver == true { assetReads[channel] = nil }
    }

    private func read(
        _ requests: [FederationFrame.AssetRequest]
    ) async -> [FederationFrame.AssetResponse.Answer] {
        let pieces = requests.map { AssetPiece(hash: $0.hash, offset: $0.offset, length: $0.length) }
        if let read = try? await assets.read(pieces) {
            return read.map { $0.map { .chunk($0) } ?? .refused("asset.unknown") }
        }
        // One that cannot be read does not take the others with it.
        var answers: [FederationFrame.AssetResponse.Answer] = []
        for request in requests { answers.append(await read(request)) }
        return answers
    }

    private func read(_ request: FederationFrame.AssetRequest) async -> FederationFrame.AssetResponse.Answer {
        do {
            let bytes = try await assets.read(request.hash, offset: request.offset, length: request.length)
            return bytes.map { .chunk($0) } ?? .refused("asset.unknown")
        } catch {
            logger.error("an asset could not be read: \(error)", metadata: ["asset": "\(request.hash)"])
            return .refused("asset.failed")
        }
    }

    private func answer(
        _ request: FederationFrame.AssetRequest, _ answer: FederationFrame.AssetResponse.Answer, on channel: ChannelID
    ) {
        channels[channel]?.sink.send(
            .assetResponse(FederationFrame.AssetResponse(request: request.request, answer: answer)))
    }

    // MARK: Questions

    /// How long a peer may take to answer one request.
    static let answerTime: Duration = .seconds(10)

    /// Sends a question to a peer and waits for its answer, for a bounded time. When the channel closes meanwhile and
    /// another is open, as after two simultaneous dials, the question is asked again there: asking twice is harmless.
    func ask(
        _ peer: ServerID, _ question: (UInt64) -> FederationFrame
    ) async throws(Refusal) -> PendingRequests.Answer {
        for _ in 1..<Self.askingAttempts {
            do {
                return try await askOnce(peer, question)
            } catch {
                // Also where the question was asked on the channel that is open now: the end of the one before it is told late.
                guard error.code == Self.disconnected, !isStopping, isConnected(to: peer) else { throw error }
            }
        }
        return try await askOnce(peer, question)
    }

    static let askingAttempts = 3
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
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                awaitAnswer(to: request, from: peer, .question(continuation))
                sink.send(frame)
            }
        } onCancel: {
            Task { await self.giveUp(request) }
        }
        switch outcome {
        case .success(let answer): return answer
        case .failure(.disconnected):
            throw Self.refused(Self.disconnected, "the channel to \(peer) closed", peer)
        case .failure(.timeout):
            throw Self.refused(Self.silent, "\(peer) did not answer within \(Self.answerTime)", peer)
        }
    }

    /// Waits for an answer, for as long as a peer may take.
    func awaitAnswer(to request: UInt64, from peer: ServerID, _ waiter: PendingRequests.Waiter) {
        let deadline = clock.now().instant + Self.answerTime
        requests.wait(for: request, from: peer, until: deadline, waiter)
        watchRequests(until: deadline)
    }

    private func giveUp(_ request: UInt64) {
        endRequest(requests.take(request), .failure(.timeout))
    }

    /// Tells those who waited how their requests ended.
    func endRequests(_ waiters: [PendingRequests.Waiter], _ outcome: PendingRequests.Outcome) {
        for waiter in waiters { endRequest(waiter, outcome) }
    }

    func endRequest(_ waiter: PendingRequests.Waiter?, _ outcome: PendingRequests.Outcome) {
        switch waiter {
        case .question(let continuation): continuation.resume(returning: outcome)
        case .chunk(let request): chunkAnswered(request, outcome)
        case nil: break
        }
        stopWatchingRequests()
    }

    // MARK: Deadlines

    /// One timer watches all requests. As every peer may take the same time, none is due before the one for which it was set.
    private func watchRequests(until deadline: Instant) {
        guard requestTimer == nil else { return }
        let clock = clock
        requestTimer = (
            deadline,
            Task { [weak self] in
                guard (try? await clock.sleep(until: deadline)) != nil else { return }
                await self?.endLateRequests(deadline)
            }
        )
    }

    private func endLateRequests(_ deadline: Instant) {
        guard requestTimer?.deadline == deadline else { return }
        requestTimer = nil
        let late = requests.takeLate(at: clock.now().instant)
        // Set first: what is asked next, because these are over, is due after those that are left.
        if let next = requests.nextDeadline { watchRequests(until: next) }
        endRequests(late, .failure(.timeout))
    }

    /// Lets go of the timer when nothing is left to watch. Between the groups of a fetch it stays: setting it costs more.
    func stopWatchingRequests() {
        guard requests.isEmpty, fetches.isEmpty else { return }
        requestTimer?.task.cancel()
        requestTimer = nil
    }

    static func refused(_ code: String, _ reason: String, _ peer: ServerID) -> Refusal {
        Refusal(
            .conflict, code: code, reason: reason,
            remedy: "nobody crosses until \(peer) publishes what it promises; tell its operator", step: .verification)
    }
}
