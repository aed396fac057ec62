public import FederationModel

extension RoutingTable {
    /// Why a route was refused. Nothing changed.
    public enum Failure: Error, Hashable, Sendable {
        /// An id breaks ``Identifier``'s grammar; the text says which one.
        case invalidID(String)
        /// The route would lead to the server that it starts from.
        case toItself(PortalID)
        case duplicatePortal(PortalID)
        case routeNotFound(PortalID)
        case routeInactive(PortalID)
        /// The destination is not in the registry.
        case destinationUnknown(PortalID, ServerID)
        /// The operator has excluded the destination.
        case destinationSuspended(PortalID, ServerID)
        /// There is no Completed handshake with the destination, or it has expired.
        case destinationUntrusted(PortalID, ServerID)
        /// The destination has not answered for too long, or is not watched.
        case destinationUnreachable(PortalID, ServerID)

        /// The step of a crossing that refuses.
        public var step: CrossingStep {
            switch self {
            case .invalidID, .toItself, .duplicatePortal, .routeNotFound, .routeInactive: .routing
            case .destinationUnknown, .destinationSuspended: .registry
            case .destinationUntrusted: .handshake
            case .destinationUnreachable: .health
            }
        }
    }

    static func check(_ route: PortalRoute) throws(Failure) {
        try check(route.portal)
        try check(route.source)
        try check(route.destination)
        try check(route.world)
        guard route.source != route.destination else { throw .toItself(route.portal) }
    }

    private static func check<ID: Identifier>(_ id: ID) throws(Failure) {
        guard ID(rawValue: id.rawValue) != nil else { throw .invalidID(ID.noun) }
    }
}

extension RoutingTable.Failure {
    /// The failure for people and programs.
    public var refusal: Refusal {
        switch self {
        case .invalidID(let noun):
            refusal(.invalid, "route.invalidID", "the \(noun) of the route is not one", "use \(ServerID.grammar)")
        case .toItself(let portal):
            refusal(
                .invalid, "route.toItself", "the portal \(portal) would lead back to its own server",
                "name another server as the destination")
        case .duplicatePortal(let portal):
            refusal(
                .conflict, "route.duplicatePortal", "the portal \(portal) has a route already",
                "remove it first, or choose another portal id")
        case .routeNotFound(let portal):
            refusal(.notFound, "route.unknown", "the portal \(portal) has no route", "see aether routes list")
        case .routeInactive(let portal):
            refusal(
                .conflict, "route.inactive", "the route of the portal \(portal) is switched off",
                "switch it on: aether routes on \(portal)")
        case .destinationUnknown(let portal, let server):
            refusal(
                .conflict, "destination.unknown",
                "the portal \(portal) leads to \(server), which is not in the registry",
                "add it: aether peers add, with the address of \(server)")
        case .destinationSuspended(let portal, let server):
            refusal(
                .conflict, "destination.suspended", "the portal \(portal) leads to \(server), which is suspended",
                "reinstate it: aether peers reinstate \(server)")
        case .destinationUntrusted(let portal, let server):
            refusal(
                .conflict, "destination.untrusted",
                "the portal \(portal) leads to \(server), with which no handshake is completed",
                "see aether peers list; both servers must have added each other")
        case .destinationUnreachable(let portal, let server):
            refusal(
                .conflict, "destination.unreachable", "the portal \(portal) leads to \(server), which does not answer",
                "try again when it is back; this server keeps dialling")
        }
    }

    private func refusal(_ kind: Refusal.Kind, _ code: String, _ reason: String, _ remedy: String) -> Refusal {
        Refusal(kind, code: code, reason: reason, remedy: remedy, step: step)
    }
}
