public import FederationModel

extension AssetMismatch {
    /// The mismatch for people and programs.
    public var refusal: Refusal {
        switch self {
        case .hash(let expected, let actual):
            refusal("hashMismatch", "the asset \(expected) hashes to \(actual)")
        case .size(let expected, let actual):
            refusal("sizeMismatch", "the asset has \(actual) bytes where \(expected) were announced")
        }
    }

    private func refusal(_ code: String, _ reason: String) -> Refusal {
        Refusal(
            .conflict, code: "asset.\(code)", reason: reason,
            remedy: "the world's operator publishes the world again: aether worlds add", step: .verification)
    }
}

extension VerifiedManifest.Failure {
    /// The failure for people and programs.
    public var refusal: Refusal {
        switch self {
        case .unverified(let path, let hash):
            Refusal(
                .conflict, code: "asset.unverified", reason: "\(path) (\(hash)) has not been verified",
                remedy: "fetch it from the destination and try again", step: .verification)
        case .sizeMismatch(let path, let expected, let actual):
            Refusal(
                .conflict, code: "asset.sizeMismatch",
                reason: "\(path) has \(actual) bytes where the manifest says \(expected)",
                remedy: "the world's operator publishes the world again: aether worlds add", step: .verification)
        }
    }
}
