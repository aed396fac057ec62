extension FederationFrame {
    /// What the sender says of other servers, and the cards that it has of them.
    public struct Introductions: Hashable, Sendable {
        /// 1 to ``Limits/introductionsPerFrame`` compact JWSs of the sender.
        public let statements: [String]
        /// Cards of those of whom the statements speak: compact JWSs, each signed by the server that it is about. Not more of them
        /// than statements.
        public let cards: [String]

        public init(statements: [String], cards: [String] = []) {
            self.statements = statements
            self.cards = cards
        }
    }
}
