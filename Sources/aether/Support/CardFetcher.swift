import ArgumentParser
import FederationCrypto
import FederationModel
import FederationTransport
import Foundation

/// Fetches another server's signed card and verifies that it is signed by the key that it names.
struct CardFetcher {
    private let fetcher: GuardedFetcher

    /// - Parameters:
    ///   - policy: to which addresses a name may lead.
    ///   - trustRoots: PEM file with the roots to believe for `https`; the system's without one.
    init(policy: AddressPolicy, trustRoots: String? = nil) throws {
        var configuration = GuardedFetcher.Configuration()
        configuration.policy = policy
        configuration.tls = .trusting(trustRoots)
        fetcher = try GuardedFetcher(configuration: configuration)
    }

    /// A card, and where it was found.
    struct Found {
        /// The compact JWS.
        let text: String
        let card: ServerCard
        let origin: Endpoint
    }

    /// The address as a person writes it; misuse when it is none.
    static func address(_ text: String) throws -> ServerAddress {
        do throws(ServerAddress.Failure) {
            return try ServerAddress.parse(text)
        } catch {
            throw ValidationError("\(error.refusal)")
        }
    }

    /// Tries the places where the address says that the card may be, one after another.
    func fetch(_ address: ServerAddress) async throws(Refusal) -> Found {
        var failures: [(origin: Endpoint, refusal: Refusal)] = []
        for origin in address.candidates {
            do throws(Refusal) {
                return try await fetch(from: origin)
            } catch {
                // Another port of the same host would say the same.
                if ["address.refused", "fetch.unresolved", "card.refused"].contains(error.code) { throw error }
                failures.append((origin, error))
            }
        }
        guard let last = failures.last, failures.count > 1 else {
            throw failures.last?.refusal ?? ServerAddress.Failure.empty.refusal
        }
        // An answer of whatever kind says more than a closed port.
        let isAnswered = last.refusal.code == "card.malformed"
        let telling = isAnswered ? nil : failures.last { Self.telling.contains($0.refusal.code) }
        let shown = telling?.refusal ?? last.refusal
        let told = Self.cause(shown, at: (telling ?? last).origin)
        let tried = failures.map { origin, refusal in
            let cause = Self.cause(refusal, at: origin)
            return cause == told ? origin.httpBase : "\(origin.httpBase): \(cause)"
        }
        throw Refusal(
            shown.kind, code: shown.code, reason: "\(shown.reason) (tried \(tried.joined(separator: ", ")))",
            remedy: shown.remedy)
    }

    /// What is said of a place where something answers, though not with a card.
    private static let telling = ["card.malformed", "tls.otherName", "tls.untrusted", "tls.failed"]

    /// Why a place had no card, without the place where that is all that tells it from another: a certificate that does not fit
    /// would not be seen behind the closed port that was tried after it.
    static func cause(_ refusal: Refusal, at origin: Endpoint) -> String {
        let base = origin.httpBase
        for place in ["no server answers at \(base): ", "a server answers at \(base), but ", "\(base) "]
        where refusal.reason.hasPrefix(place) {
            return String(refusal.reason.dropFirst(place.count))
        }
        return refusal.reason
    }

    /// Makes sure that a card belongs to where it says that its server is: whoever shows one that names another address may have
    /// copied it, or may point at somebody else's server.
    ///
    /// - Throws: `endpoint.unproven` when another server, or none, answers at the address that the card names.
    func prove(_ found: Found) async throws(Refusal) {
        let endpoint = found.card.endpoint
        guard !found.card.endpoints.contains(found.origin) else { return }
        do throws(Refusal) {
            let there = try await fetch(from: endpoint).card
            guard there.id != found.card.id || there.publicKey != found.card.publicKey else { return }
        } catch {
            throw unproven(found, "which says: \(error.reason)")
        }
        throw unproven(found, "where another server answers")
    }

    private func unproven(_ found: Found, _ why: String) -> Refusal {
        Refusal(
            .conflict, code: "endpoint.unproven",
            reason:
                "\(found.origin.httpBase) shows a card that names \(found.card.endpoint) for \(found.card.id), \(why)",
            remedy: "name the server's own address; for a way of your own there, set 'dial' in aether.json first")
    }

    private func fetch(from origin: Endpoint) async throws(Refusal) -> Found {
        let request = FetchRequest.card(of: origin)
        let document: FetchedDocument
        do throws(FetchFailure) {
            document = try await fetcher.fetch(request)
        } catch {
            throw error.refusal(of: request)
        }
        guard document.status == 200, let text = GuardedCards.compact(document.body) else {
            throw Refusal(
                .invalid, code: "card.malformed", reason: "\(origin.httpBase) does not answer with a signed card",
                remedy: "check the address; it may be another kind of server")
        }
        do throws(StatementFailure) {
            return Found(text: text, card: try ServerCard.verify(text, at: Self.now()), origin: document.origin)
        } catch {
            throw Refusal(
                .invalid, code: "card.refused", reason: "the card of \(origin.httpBase) \(error.reason)",
                remedy: "compare the clocks of both machines; else tell the server's operator")
        }
    }

    /// Compares fingerprints as people type them: letters and digits count, spaces and dashes do not.
    static func isSame(_ left: String, _ right: String) -> Bool {
        func essence(_ text: String) -> String { text.lowercased().filter { $0.isLetter || $0.isNumber } }
        return !essence(left).isEmpty && essence(left) == essence(right)
    }

    private static func now() -> Timestamp {
        Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
    }
}
