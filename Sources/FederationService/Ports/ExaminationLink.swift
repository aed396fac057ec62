public import FederationModel

/// The port through which examinations look at other servers. What it does is bounded in time and goes where every other
/// connection may go, and nowhere else.
public protocol ExaminationLink: Sendable {
    /// Looks whether a server can be reached, stage by stage: `dns`, `tcp`, `tls` where it is `wss://`, `upgrade`. Nothing is
    /// said on the WebSocket. The first stage that is wrong is the last.
    ///
    /// - Parameter reach: where to the endpoint may lead.
    func probe(_ endpoint: Endpoint, within reach: ExaminationReach) async -> [Finding]

    /// The same at one address, that of ``ServedCard/address``: the endpoint's name is not looked up again, because it may lead
    /// elsewhere the second time (DNS rebinding). On the word of another server it counts as one more call of the address; where
    /// there have been too many the finding is `inquiry.busy`, a warning.
    func probe(
        _ endpoint: Endpoint, at address: NetworkAddress, within reach: ExaminationReach
    ) async -> [Finding]

    /// The card that is served there. Nothing about it is verified. The refusal says what really happened, and is for this
    /// server's operator only. On the word of another server no redirect is followed.
    ///
    /// - Throws: `fetch.busy` when this server looks at too much already, or has called the address too often.
    func card(at endpoint: Endpoint, within reach: ExaminationReach) async throws(Refusal) -> ServedCard

    /// Sends an inquiry and returns the answer. Whoever is asked tries back first, so it takes its time.
    ///
    /// - Throws: what the other server refused with, under its own code; `inquiry.notTaken` where it takes none.
    func ask(
        _ inquiry: String, at endpoint: Endpoint, within reach: ExaminationReach
    ) async throws(Refusal) -> String

    /// What a registry, which the operator has named, says of a server: a JSON object.
    ///
    /// - Parameter denied: what the deny list names: never there.
    /// - Throws: `server.unknown` when it does not list the server; `address.denied`.
    func listing(of server: ServerID, at registry: String, denied: [AddressRange]) async throws(Refusal) -> [UInt8]
}

/// A card as it was found.
public struct ServedCard: Hashable, Sendable {
    /// Compact JWS.
    public let compact: String
    /// The address that has served it.
    public let address: NetworkAddress

    public init(compact: String, address: NetworkAddress) {
        self.compact = compact
        self.address = address
    }
}

/// Where to an examination may turn.
public struct ExaminationReach: Hashable, Sendable {
    /// Whether an operator has chosen the server by hand, so that it may be where strangers' words lead nobody.
    public let isOperatorsChoice: Bool
    /// What the deny list names: never there.
    public let denied: [AddressRange]
    /// Whether another server has brought it about: then few reach one address.
    public let isProvoked: Bool

    public init(isOperatorsChoice: Bool, denied: [AddressRange], isProvoked: Bool = false) {
        self.isOperatorsChoice = isOperatorsChoice
        self.denied = denied
        self.isProvoked = isProvoked
    }
}
