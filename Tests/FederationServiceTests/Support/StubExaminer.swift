import FederationCrypto
import FederationModel
import FederationService
import Synchronization

/// What examinations meet at each address, as the test says; remembers where they looked.
final class StubExaminer: ExaminationLink {
    /// What answers at one address.
    struct Place: Sendable {
        var findings: [Finding] = [.ok("dns", "found"), .ok("tcp", "open"), .ok("upgrade", "spoken")]
        var card: String?
        /// Where the card comes from.
        var address = NetworkAddress(ipv4: 0xC000_0201)
        /// Whether this server has looked there too often.
        var isBusy = false
        /// Whether this server knows no roots, and can ask nobody over TLS.
        var isBlind = false
        /// Only the operator's word leads there.
        var isPrivate = false
        var answer: @Sendable (String) async throws(Refusal) -> String = { _ throws(Refusal) in
            throw Refusal(.notFound, code: "inquiry.notTaken", reason: "it takes none", remedy: "update it")
        }
    }

    private let places = Mutex<[Endpoint: Place]>([:])
    private let visits = Mutex<[String]>([])
    private let listings = Mutex<[String: [UInt8]]>([:])

    /// Where and how it looked: `probe ws://…`, `card ws://…`, with `by choice` where the operator's word counted.
    var visited: [String] { visits.withLock { $0 } }

    func put(_ place: Place, at endpoint: Endpoint) {
        places.withLock { $0[endpoint] = place }
    }

    private func visit(_ what: String, _ endpoint: Endpoint, _ isChoice: Bool) -> Place? {
        visits.withLock { $0.append("\(what) \(endpoint)" + (isChoice ? " by choice" : "")) }
        return places.withLock { $0[endpoint] }
    }

    private static let refused = Refusal(
        .forbidden, code: "address.refused", reason: "a private address", remedy: "name another")
    private static let closed = Refusal(
        .unavailable, code: "server.unreachable", reason: "nothing answers", remedy: "start it")

    func probe(_ endpoint: Endpoint, within reach: ExaminationReach) async -> [Finding] {
        guard let place = visit("probe", endpoint, reach.isOperatorsChoice) else {
            return [.wrong("tcp", "tcp.refused", "closed", "open it")]
        }
        return place.isPrivate && !reach.isOperatorsChoice ? [Finding("dns", Self.refused)] : place.findings
    }

    func probe(
        _ endpoint: Endpoint, at address: NetworkAddress, within reach: ExaminationReach
    ) async -> [Finding] {
        visits.withLock { $0.append("probe \(endpoint) at \(address)" + (reach.isOperatorsChoice ? " by choice" : "")) }
        guard let place = places.withLock({ $0[endpoint] }) else {
            return [.wrong("tcp", "tcp.refused", "closed", "open it")]
        }
        return place.isPrivate && !reach.isOperatorsChoice ? [Finding("dns", Self.refused)] : place.findings
    }

    func card(at endpoint: Endpoint, within reach: ExaminationReach) async throws(Refusal) -> ServedCard {
        guard let place = visit("card", endpoint, reach.isOperatorsChoice) else { throw Self.closed }
        guard !place.isBusy else {
            throw Refusal(.overloaded, code: "fetch.busy", reason: "too much at once", remedy: "wait")
        }
        guard !place.isBlind else {
            throw Refusal(
                .unavailable, code: "tls.failed", reason: "\(endpoint) was not asked", remedy: "install roots")
        }
        guard let card = place.card else { throw Self.closed }
        guard reach.isOperatorsChoice || !place.isPrivate else { throw Self.refused }
        return ServedCard(compact: card, address: place.address)
    }

    func ask(_ inquiry: String, at endpoint: Endpoint, within reach: ExaminationReach) async throws(Refusal) -> String {
        guard let place = visit("ask", endpoint, reach.isOperatorsChoice) else { throw Self.closed }
        return try await place.answer(inquiry)
    }

    func listing(of server: ServerID, at registry: String, denied: [AddressRange]) async throws(Refusal) -> [UInt8] {
        visits.withLock { $0.append("listing \(registry)" + denied.map { " but \($0)" }.joined()) }
        throw Self.closed
    }
}
