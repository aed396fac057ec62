import FederationModel

/// A line of text that reaches people: the rules are those of names.
struct LineOfText: LosslessStringConvertible {
    let description: String

    static let grammar = "1–\(Limits.nameBytes) bytes of text without control characters"

    init?(_ description: String) {
        guard FederatedServer.isValidName(description) else { return nil }
        self.description = description
    }
}
