import FederationCore
import FederationModel
import FederationWire

/// Assets of peers, asked for in chunks.
extension FederationServer {
    /// Asks for a part of an asset, a few chunks ahead, and hands the chunks over in order and in groups: the next group when
    /// `take` has returned. What is under way or waits is at most ``ChunkWindow/bytes``.
    ///
    /// - Parameter range: of the asset, in bytes.
    func fetchChunks(
        _ range: Range<Int64>, of hash: ContentHash, name: String, from peer: ServerID,
        _ take: ([[UInt8]]) async throws -> Void
    ) async throws {
        nextFetch += 1
        let number = nextFetch
        fetches[number] = ChunkFetch(range, of: hash, name: name, from: peer)
        defer { endFetch(number) }
        while true {
            askForChunks(number)
            let group = try await arrivedChunks(number)
            guard !group.isEmpty else { return }
            try await take(group)
            fetches[number]?.window.wrote()
        }
    }

    // MARK: Asking

    private func askForChunks(_ number: UInt64) {
        if Task.isCancelled { giveUpFetch(number) }
        guard fetches[number]?.failure == nil, let peer = fetches[number]?.peer,
            let chunks = fetches[number]?.window.ask(), !chunks.isEmpty
        else { return }
        chunkSlots[peer, default: ChunkSlots()].waiting.append(
            contentsOf: chunks.map { ChunkRequest(fetch: number, peer: peer, chunk: $0) })
        fillSlots(to: peer)
    }

    /// Sends what waits for its turn, as far as there are places.
    private func fillSlots(to peer: ServerID) {
        while let request = chunkSlots[peer]?.next() {
            if !sendRequest(request) { chunkSlots[peer]?.inUse -= 1 }
        }
        if chunkSlots[peer]?.inUse == 0 { chunkSlots[peer] = nil }
    }

    /// Whether it could be sent; if not, its fetch has failed.
    private func sendRequest(_ request: ChunkRequest) -> Bool {
        guard let fetch = fetches[request.fetch], fetch.failure == nil else { return false }
        guard !isStopping, let channel = node.channel(to: request.peer), let sink = channels[channel]?.sink else {
            failFetch(request.fetch, Self.disconnected, "there is no open channel to \(request.peer)")
            return false
        }
        var request = request
        request.attempts += 1
        let number = requests.nextRequest()
        awaitAnswer(to: number, from: request.peer, .chunk(request))
        sink.send(
            .assetRequest(
                FederationFrame.AssetRequest(
                    request: number, hash: fetch.hash, offset: request.chunk.offset, length: request.chunk.length)))
        return true
    }

    // MARK: Answers

    /// A request on the way has come to its end, and its place is free.
    func chunkAnswered(_ request: ChunkRequest, _ outcome: PendingRequests.Outcome) {
        accept(outcome, of: request)
        chunkSlots[request.peer]?.inUse -= 1
        fillSlots(to: request.peer)
    }

    private func accept(_ outcome: PendingRequests.Outcome, of request: ChunkRequest) {
        let number = request.fetch
        let peer = request.peer
        // Not the whole fetch, whose window would be copied when it changes.
        guard fetches[number]?.failure == nil, let name = fetches[number]?.name else { return }
        switch outcome {
        case .success(.asset(.chunk(let bytes))):
            guard bytes.count == request.chunk.length else {
                return failFetch(
                    number, "asset.truncated", "a part of \(name) from \(peer) is not as long as its manifest promises")
            }
            fetches[number]?.window.arrive(bytes, at: request.chunk)
            if fetches[number]?.isSettled == true { wakeReader(of: number) }
        case .success(.asset(.refused(let code))):
            failFetch(number, code, "\(peer) refused to send \(name)")
        case .success(.world):
            failFetch(number, "peer.confused", "\(peer) answered another question")
        case .failure(.timeout):
            failFetch(number, Self.silent, "\(peer) did not answer within \(Self.answerTime)")
        case .failure(.disconnected):
            // Asked again where a channel is open, as in ``ask(_:_:)``.
            guard request.attempts < Self.askingAttempts, isConnected(to: peer) else {
                return failFetch(number, Self.disconnected, "the channel to \(peer) closed")
            }
            chunkSlots[peer]?.waiting.append(request)
        }
    }

    private func failFetch(_ number: UInt64, _ code: String, _ reason: String) {
        guard let peer = fetches[number]?.peer else { return }
        fetches[number]?.failure = Self.refused(code, reason, peer)
        wakeReader(of: number)
    }

    private func wakeReader(of number: UInt64) {
        fetches[number]?.reader.take()?.resume()
    }

    // MARK: Reading

    /// The next group, once it has arrived; empty when everything was given out.
    private func arrivedChunks(_ number: UInt64) async throws(Refusal) -> [[UInt8]] {
        if fetches[number]?.isSettled == false {
            await withTaskCancellationHandler {
                await withCheckedContinuation { fetches[number]?.reader = $0 }
            } onCancel: {
                Task { await self.giveUpFetch(number) }
            }
        }
        if Task.isCancelled { giveUpFetch(number) }
        if let failure = fetches[number]?.failure { throw failure }
        return fetches[number]?.window.take() ?? []
    }

    /// Its task was cancelled: whoever it fetched for has failed already, for a reason of its own.
    private func giveUpFetch(_ number: UInt64) {
        guard let fetch = fetches[number], fetch.failure == nil else { return }
        failFetch(number, Self.disconnected, "\(fetch.name) from \(fetch.peer) is not needed any more")
    }

    /// Forgets what is on the way or waits; answers that still come are dropped.
    private func endFetch(_ number: UInt64) {
        guard let fetch = fetches.removeValue(forKey: number) else { return }
        if !fetch.window.isOver {
            chunkSlots[fetch.peer]?.waiting.removeAll { $0.fetch == number }
            chunkSlots[fetch.peer]?.inUse -= requests.withdraw(fetch: number)
            fillSlots(to: fetch.peer)
        }
        stopWatchingRequests()
    }
}
