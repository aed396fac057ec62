import FederationModel

/// Questions to peers for the manifests of their worlds. Players who want to go to a world while it is asked about wait
/// for one question together, so that a crowd costs a frame for each round trip and not for each player.
struct ManifestQuestions {
    struct Key: Hashable {
        let world: WorldID
        let peer: ServerID
    }

    typealias Answer = Result<(ContentHash, Int64), Refusal>

    /// Whether the peer did not answer at all, which says the same to whoever came meanwhile.
    static func isUnanswered(_ answer: Answer) -> Bool {
        guard case .failure(let refusal) = answer else { return false }
        return refusal.code == FederationServer.silent || refusal.code == FederationServer.disconnected
    }

    /// Who came while a question was under way, for each one that is. They wait for the next: its answer is what the
    /// peer says after they came, as if each of them had asked.
    var waiting: [Key: [CheckedContinuation<Answer, Never>]] = [:]
}

extension FederationServer {
    /// As ``manifestAddress(of:at:)``, shared with whoever wants to know the same. Of a question that nobody answers all hear
    /// at once: whoever waits behind it would only wait as long again. So nobody waits for longer than two answers may take.
    func sharedManifestAddress(of world: WorldID, at peer: ServerID) async throws(Refusal) -> (ContentHash, Int64) {
        let key = ManifestQuestions.Key(world: world, peer: peer)
        guard manifestQuestions.waiting[key] == nil else {
            let answer = await withCheckedContinuation { manifestQuestions.waiting[key]?.append($0) }
            return try answer.get()
        }
        manifestQuestions.waiting[key] = []
        let answer = await manifestAnswer(key)
        if ManifestQuestions.isUnanswered(answer) || manifestQuestions.waiting[key]?.isEmpty != false {
            tellWaiting(key, answer)
        } else {
            Task { await self.askForWaiting(key) }
        }
        return try answer.get()
    }

    /// Asks again for those who came meanwhile, until nobody did.
    private func askForWaiting(_ key: ManifestQuestions.Key) async {
        while let waiting = manifestQuestions.waiting[key], !waiting.isEmpty {
            manifestQuestions.waiting[key] = []
            let answer = await manifestAnswer(key)
            for player in waiting { player.resume(returning: answer) }
            if ManifestQuestions.isUnanswered(answer) { return tellWaiting(key, answer) }
        }
        manifestQuestions.waiting[key] = nil
    }

    /// Ends the questions of a key.
    private func tellWaiting(_ key: ManifestQuestions.Key, _ answer: ManifestQuestions.Answer) {
        for player in manifestQuestions.waiting.removeValue(forKey: key) ?? [] { player.resume(returning: answer) }
    }

    private func manifestAnswer(_ key: ManifestQuestions.Key) async -> ManifestQuestions.Answer {
        do {
            return .success(try await manifestAddress(of: key.world, at: key.peer))
        } catch {
            return .failure(error)
        }
    }
}
