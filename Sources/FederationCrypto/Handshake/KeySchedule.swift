import Crypto

/// What every key of a channel is derived from: HKDF's first step over the secret of both sides, with the transcript as
/// salt, taken once for all labels.
struct KeySchedule: ~Copyable {
    private let extracted: SymmetricKey

    init(secret: borrowing SecretBytes, transcript: [UInt8]) {
        extracted = extractKey(from: secret.key, salt: transcript)
    }

    func derive(_ label: String, count: Int) -> SymmetricKey {
        expandKey(extracted, info: Array(label.utf8), count: count)
    }
}
