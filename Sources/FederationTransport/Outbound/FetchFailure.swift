public import FederationModel
import FederationService

/// Why nothing was fetched.
public enum FetchFailure: Error, Hashable, Sendable {
    /// The policy forbids where the request, or a redirect, leads.
    case address(Refusal)
    /// The name has no address, or nobody says.
    case unresolved(String)
    /// No connection, no HTTP.
    case unreachable(String)
    /// Something answers, and not in TLS as it should.
    case tls(TLSFault)
    /// Nobody was asked: the certificates that are to be believed cannot be read.
    case noRoots(String)
    /// It took longer than all may take together.
    case timedOut
    /// More bytes than asked for.
    case oversized(Int)
    case tooManyRedirects
    /// To another path, from https to http, or to what is no URL.
    case forbiddenRedirect(String)
    /// The server is being asked already, or too many are.
    case busy

    /// Of an error on a connection, or of what kept one from being made.
    init(connection error: any Error) {
        let text = connectionFailureText(error)
        self = TLSFault(text).map { .tls($0) } ?? .unreachable(text)
    }

    /// The failure for the operator of this server. Never for others: that a port is closed, filtered or open is what
    /// whoever scans a network wants to know.
    public func refusal(of request: FetchRequest) -> Refusal {
        let base = request.origin.httpBase
        switch self {
        case .address(let refusal):
            return refusal
        case .unresolved(let reason):
            return Refusal(
                .unavailable, code: "fetch.unresolved", reason: "no address is known for \(reason)",
                remedy: "check the spelling, and this machine's name server")
        case .unreachable(let reason):
            return Refusal(
                .unavailable, code: "server.unreachable", reason: "no server answers at \(base): \(reason)",
                remedy: "check the address, and that a server runs there")
        case .tls(let fault):
            return Refusal(
                .unavailable, code: "tls.\(fault.code)", reason: "a server answers at \(base), but \(fault.reason)",
                remedy: fault.remedy)
        case .noRoots(let reason):
            return Refusal(
                .unavailable, code: Refusal.cannotLook, reason: "\(base) was not asked: \(reason)",
                remedy: PeerTLS.Unusable.remedy)
        case .timedOut:
            return Refusal(
                .unavailable, code: "fetch.timedOut", reason: "\(base) did not answer in time",
                remedy: "check the address, and that no firewall swallows the request")
        case .oversized(let bytes):
            return Refusal(
                .invalid, code: "fetch.oversized",
                reason: "\(base) answers with more than the \(bytes) bytes that such a document has",
                remedy: "check the address; it may be another kind of server")
        case .tooManyRedirects:
            return Refusal(
                .invalid, code: "fetch.tooManyRedirects", reason: "\(base) leads from one address to the next",
                remedy: "name the address where the server itself answers")
        case .forbiddenRedirect(let location):
            return Refusal(
                .invalid, code: "fetch.forbiddenRedirect",
                reason: "\(base) leads to \(location), where no card is looked for",
                remedy: "name the address where the server itself answers")
        case .busy:
            return Refusal(
                .overloaded, code: "fetch.busy", reason: "\(base) is being asked already, or too many servers are",
                remedy: "try again in a few seconds")
        }
    }
}
