/// Which addresses this server may turn to on the word of others: to fetch a card, to ask a registry, to dial a server
/// that no operator has pinned.
///
/// Without it anybody who can name an address makes this server knock at the doors of its own network. Names are
/// judged by every address that they resolve to, and the connection goes to an address that was judged.
public struct AddressPolicy: Hashable, Sendable {
    /// Whether this machine and its own networks count as reachable: loopback, private and link-local addresses. For
    /// federations on one machine or in one network.
    public let allowsPrivate: Bool
    /// Whether every kind of address counts as reachable, because the operator has chosen the server by hand.
    public let isOperatorsChoice: Bool
    /// Blocks that the operator's deny list names: they are never turned to, whatever else is allowed.
    public let denied: [AddressRange]

    public init(allowsPrivate: Bool = false, denied: [AddressRange] = []) {
        self.allowsPrivate = allowsPrivate
        isOperatorsChoice = false
        self.denied = denied
    }

    private init(denied: [AddressRange]) {
        allowsPrivate = true
        isOperatorsChoice = true
        self.denied = denied
    }

    /// Only hosts of the public internet.
    public static let publicOnly = AddressPolicy()

    /// Every address but the denied ones, for servers that the operator has chosen by hand.
    public static func allBut(_ denied: [AddressRange]) -> AddressPolicy { AddressPolicy(denied: denied) }

    /// The same policy, with blocks that are never turned to.
    public func denying(_ denied: [AddressRange]) -> AddressPolicy {
        isOperatorsChoice
            ? .allBut(self.denied + denied) : AddressPolicy(allowsPrivate: allowsPrivate, denied: self.denied + denied)
    }

    public func permits(_ kind: AddressKind) -> Bool {
        if isOperatorsChoice { return true }
        return switch kind {
        case .global: true
        case .loopback, .privateUse, .linkLocal: allowsPrivate
        case .shared, .unspecified, .thisNetwork, .documentation, .benchmarking, .multicast, .reserved: false
        }
    }

    public func permits(_ address: NetworkAddress) -> Bool { !denies(address) && permits(address.kind) }

    private func denies(_ address: NetworkAddress) -> Bool { denied.contains { $0.reaches(address) } }

    /// Checks the addresses that `host` resolved to: one that may not be turned to spoils all, because nobody says to which
    /// of them the next attempt would go.
    public func check(_ addresses: [NetworkAddress], of host: Host) throws(Refusal) {
        guard let refused = addresses.first(where: { !permits($0) }) else { return }
        let name = "\(host)" == "\(refused)" || "\(host)" == "[\(refused)]" ? "\(host)" : "\(host) (\(refused))"
        guard !denies(refused) else {
            throw Refusal(
                .forbidden, code: "address.denied", reason: "the deny list names the address of \(name)",
                remedy: "take the pattern out: aether policy remove PATTERN")
        }
        throw Refusal(
            .forbidden, code: "address.refused", reason: "\(name) is \(refused.kind.phrase)",
            remedy: permitsWhenPrivateAllowed(refused.kind)
                ? "if it is meant, allow it with network.allowPrivate or --allow-private-addresses"
                : "name an address of the public internet")
    }

    private func permitsWhenPrivateAllowed(_ kind: AddressKind) -> Bool {
        AddressPolicy(allowsPrivate: true).permits(kind)
    }
}

extension AddressKind {
    /// What such an address is, in a sentence.
    public var phrase: String {
        switch self {
        case .global: "a public address"
        case .loopback: "a loopback address, which is this machine"
        case .privateUse: "a private address"
        case .linkLocal: "a link-local address"
        case .shared: "an address behind a provider's address translation (100.64.0.0/10)"
        case .unspecified: "the unspecified address"
        case .thisNetwork: "an address of 0.0.0.0/8, which no host has"
        case .documentation: "an address for examples in texts"
        case .benchmarking: "an address for measurements"
        case .multicast: "a multicast address"
        case .reserved: "a reserved address"
        }
    }
}
