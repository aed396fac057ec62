import FederationModel

/// One reading of a registry, from when it began. Once the registry was readmitted, what a round from before has found counts
/// for nothing: it rests on what is forgotten.
struct RegistryRound: Sendable {
    /// The registry's, as the operator named it.
    let address: String
    /// ``RegistrySource/generation`` when it began.
    let generation: Int
}

extension FederationServer {
    /// Begins a round with a registry.
    func beginRound(with address: String) -> RegistryRound {
        use([address])
        return RegistryRound(address: address, generation: registrySources[address]?.generation ?? 0)
    }

    private func isCurrent(_ round: RegistryRound) -> Bool {
        registrySources[round.address]?.generation == round.generation
    }

    /// - Throws: `registry.readmitted` when the registry was readmitted since the round began.
    func check(_ round: RegistryRound) throws(Refusal) {
        guard isCurrent(round) else {
            throw Refusal(
                .conflict, code: "registry.readmitted", reason: "\(round.address) was readmitted while it was read",
                remedy: "nothing is to be done: the next round reads it from the beginning")
        }
    }

    /// Changes what is shown of a registry, unless it was readmitted since the round began.
    ///
    /// - Returns: whether the round counts.
    @discardableResult
    func update(in round: RegistryRound, _ change: @Sendable (inout RegistrySource) -> Void) -> Bool {
        guard isCurrent(round) else { return false }
        update(round.address, change)
        return true
    }
}
