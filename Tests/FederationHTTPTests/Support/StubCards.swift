import FederationCrypto
import FederationModel
import FederationService
import Synchronization

/// What answers at addresses where nothing runs.
final class StubCards: CardSource {
    private let answers = Mutex<[Endpoint: String]>([:])
    private let count = Mutex(0)

    /// How often anything was asked for.
    var asked: Int { count.withLock(\.self) }

    func serve(_ card: String, at endpoint: Endpoint) {
        answers.withLock { $0[endpoint] = card }
    }

    /// Lets every address in a card answer with the card.
    func serve(_ card: String, at time: Timestamp) throws {
        for endpoint in try ServerCard.verify(card, at: time).endpoints { serve(card, at: endpoint) }
    }

    func card(
        at endpoint: Endpoint, isOperatorsChoice: Bool, denied: [AddressRange]
    ) async throws(Refusal) -> String {
        guard let address = endpoint.host.address, !denied.contains(where: { $0.contains(address) }) else {
            throw Refusal(.forbidden, code: "test.denied", reason: "nobody is asked there", remedy: "none")
        }
        return try await card(at: endpoint)
    }

    func card(at endpoint: Endpoint) async throws(Refusal) -> String {
        count.withLock { $0 += 1 }
        guard let card = answers.withLock({ $0[endpoint] }) else {
            throw Refusal(.unavailable, code: "test.silent", reason: "nothing answers", remedy: "none")
        }
        return card
    }
}
