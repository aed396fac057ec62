public import FederationCrypto
public import FederationModel

/// The port to where this server's private keys are kept. What it makes is durable before it returns; every step may be
/// repeated after a crash.
public protocol IdentityKeeper: Sendable {
    /// The identity that this server has committed to as its next.
    func next() async throws(Refusal) -> ServerIdentity

    /// The commitment to the key after the next one, which is made where there is none yet.
    func commitmentAfterNext() async throws(Refusal) -> ContentHash

    /// The identity that the owner has put in the place of all others, with the revocation that says so; nil when there is
    /// none.
    func replacement() async throws(Refusal) -> (identity: ServerIdentity, revocation: String)?

    /// Puts the key that is the present one from now on, and the one that it has committed to, where they are kept. Does
    /// nothing when they are there already, and leaves out the next one when it is kept elsewhere.
    func adopt(_ present: PublicKey, promising commitment: KeyCommitment) async throws(Refusal)
}
