import FederationCrypto
import Foundation

/// What the configuration file holds that no setting could be read from: each key that means nothing, and each that holds
/// another kind of value than its own. Reading it alone passes over both, as if they were not there.
struct SettingsFile {
    /// What a setting is.
    enum Kind: String {
        case text = "text"
        /// Also one that is written as text: whether it is a number is seen when it is read.
        case number = "a number"
        case truth = "true or false"
        case list = "a list of texts"
    }

    /// One line that says why the file as a whole cannot be taken; nil when it can, or is not there.
    private(set) var failure: String?
    /// One line for each key that is wrong, by the key.
    private(set) var problems: [(key: String, line: String)] = []

    private let file: String
    private let kinds: [String: Kind]
    private var seen: Set<String> = []

    /// - Parameter kinds: of every setting that there is, by its key.
    init(_ file: String, kinds: [String: Kind]) {
        self.file = file
        self.kinds = kinds
        guard let data = FileManager.default.contents(atPath: file) else { return }
        do {
            guard let members = try JSONValue.parse(Array(data)).members else {
                failure = "\(file) is not a JSON object but a value of another kind"
                return
            }
            examine(members, below: "")
        } catch .duplicateKey(let key) {
            failure = "\(file) is refused: \(JSONValue.Failure.duplicateKey(key))"
        } catch {
            failure = "\(file) is not a JSON object: \(error)"
        }
    }

    /// The keys that are wrong.
    var wrongKeys: Set<String> { Set(problems.map(\.key)) }

    private mutating func examine(_ members: [String: JSONValue], below prefix: String) {
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            let key = prefix + name
            if let kind = kinds[key] {
                if !seen.insert(key).inserted { problems.append((key, "\(key) stands twice in \(file)")) }
                if !Self.holds(value, kind) {
                    problems.append((key, "\(key) must be \(kind.rawValue), not \(Self.shown(value))"))
                }
            } else if let members = value.members, kinds.keys.contains(where: { $0.hasPrefix(key + ".") }) {
                examine(members, below: key + ".")
            } else {
                problems.append((key, "\(key) in \(file) is not a setting"))
            }
        }
    }

    private static func holds(_ value: JSONValue, _ kind: Kind) -> Bool {
        switch kind {
        case .text: value.text != nil
        case .number:
            switch value {
            case .integer, .number, .string: true
            case .null, .bool, .array, .object: false
            }
        case .truth: value == .bool(true) || value == .bool(false)
        case .list: value.elements?.allSatisfy { $0.text != nil } == true
        }
    }

    /// A value as it stands in the file, on one line and not too long.
    private static func shown(_ value: JSONValue) -> String {
        let text = value.serializedText()
        return text.count > 60 ? text.prefix(60) + "…" : text
    }
}
