public import FederationCrypto
public import FederationModel

extension KeyBinding {
    /// Why a card or a revocation was not believed. Nothing changed.
    public enum Failure: Error, Hashable, Sendable {
        /// Another key, and no rotation that leads to it.
        case keyMismatch(ServerID)
        /// A rotation to another key than the one committed to: whoever made it holds the old key only.
        case notCommitted(ServerID)
        case badRotation(ServerID, StatementFailure)
        /// The same key with other commitments than before.
        case commitmentChanged(ServerID)
        /// A key that was rotated away from.
        case retiredKey(ServerID)
        case noRecovery(ServerID)
        case badRevocation(ServerID, StatementFailure)
        case oldRevocation(ServerID)
        /// The owner has revoked the id for good.
        case revoked(ServerID)

        /// The failure for people and programs.
        public var refusal: Refusal {
            switch self {
            case .keyMismatch(let id):
                ServerRegistry.Failure.keyMismatch(id).refusal
            case .notCommitted(let id):
                refuse(
                    "notCommitted", "\(id) shows a rotation to a key that it had not committed to",
                    "its old key may be stolen: ask its operator to revoke it with the recovery key")
            case .badRotation(let id, let failure):
                refuse(
                    "badRotation", "a key rotation of \(id) \(failure.reason)",
                    "fetch the card anew from the server's /.well-known/aether-federation")
            case .commitmentChanged(let id):
                refuse(
                    "commitmentChanged", "\(id) shows other commitments to its next or recovery key than before",
                    "its key may be stolen: ask its operator to revoke it with the recovery key")
            case .retiredKey(let id):
                refuse(
                    "retiredKey", "\(id) shows a key that it has rotated away from",
                    "its old key may be stolen, or an old copy of it runs: ask its operator")
            case .noRecovery(let id):
                refuse(
                    "noRecovery", "\(id) has named no recovery key that is known here, so its key stays",
                    "show a card under that key that names one; else its operator makes a server with a new id")
            case .badRevocation(let id, let failure):
                refuse(
                    "badRevocation", "the revocation of \(id) \(failure.reason)",
                    "sign it with the recovery key that was printed by aether init")
            case .oldRevocation(let id):
                refuse(
                    "oldRevocation", "a newer revocation of \(id) is known",
                    "ask its operator for the newest card or revocation")
            case .revoked(let id):
                refuse(
                    "revoked", "\(id) was revoked by its owner for good", "its operator makes a server with a new id")
            }
        }

        private func refuse(_ code: String, _ reason: String, _ remedy: String) -> Refusal {
            Refusal(.conflict, code: "key.\(code)", reason: reason, remedy: remedy, step: .registry)
        }
    }
}
