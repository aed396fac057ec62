import FederationModel

/// A card as others hold it, in either form of RFC 7515 §7. Nothing is verified here.
extension ServerCard {
    /// The compact JWS of a document: compact already, with white space around it at most, or flattened JSON, as a file on a
    /// web server may hold it. nil when it is neither.
    public static func compact(in document: [UInt8]) -> String? {
        let bytes = document.drop { $0 <= 0x20 }
        guard bytes.first == 0x7B else {
            let text = String(decoding: bytes.prefix { (0x21...0x7E).contains($0) }, as: UTF8.self)
            return text.split(separator: ".", omittingEmptySubsequences: false).count == 3 ? text : nil
        }
        return (try? JSONValue.parse(document)).flatMap(compact(flattened:))
    }

    /// The compact JWS of the flattened form (RFC 7515 §7.2.2); nil when a member is missing.
    public static func compact(flattened json: JSONValue) -> String? {
        guard let header = json["protected"]?.text, let payload = json["payload"]?.text,
            let signature = json["signature"]?.text
        else { return nil }
        return "\(header).\(payload).\(signature)"
    }
}
