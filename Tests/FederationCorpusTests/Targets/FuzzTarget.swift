/// A decoder that faces a peer or a player, and what must hold whatever it is fed.
///
/// The same targets run in two places: under libFuzzer, which searches for inputs, and in the tests, which replay the
/// inputs that were kept.
public protocol FuzzTarget: SendableMetatype {
    /// One word: the name on the command line and of the folder in the corpus.
    static var name: String { get }

    /// Feeds one input to the decoder. Returns whether it was accepted; throws what does not hold.
    static func run(_ input: [UInt8]) throws(Violation) -> Bool

    /// Real messages, from which the search starts. Each is accepted.
    static func seeds() throws -> [[UInt8]]
}

/// Every target, in the order in which they are listed.
public enum Targets {
    public static let all: [any FuzzTarget.Type] = [
        AddressTarget.self, ClientTarget.self, FieldTarget.self, FrameTarget.self, HandshakeTarget.self,
        HelloTarget.self, JSONTarget.self, ManifestTarget.self, NodeTarget.self, QueryTarget.self, RecordTarget.self,
        RegistryTarget.self, SignatureTarget.self, StatementTarget.self, WebSocketTarget.self,
    ]

    public static func named(_ name: String) -> (any FuzzTarget.Type)? {
        all.first { $0.name == name }
    }
}

/// A property that an input broke.
public struct Violation: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Throws unless `condition` holds.
func require(_ condition: Bool, _ otherwise: @autoclosure () -> String) throws(Violation) {
    guard condition else { throw Violation(otherwise()) }
}

/// Takes the choices of a script from an input; an input that has ended gives zeros.
struct ByteSource {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 {
        rest.popFirst() ?? 0
    }

    mutating func word() -> Int {
        Int(byte()) << 8 | Int(byte())
    }

    /// The next `count` bytes, or what is left of them.
    mutating func bytes(_ count: Int) -> [UInt8] {
        let taken = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
        return taken
    }

    mutating func remaining() -> [UInt8] {
        bytes(rest.count)
    }
}

/// Writes scripts that ``ByteSource`` reads.
struct ByteScript {
    private(set) var bytes: [UInt8] = []

    init(_ first: UInt8) {
        bytes = [first]
    }

    mutating func byte(_ byte: UInt8) {
        bytes.append(byte)
    }

    mutating func word(_ word: Int) {
        bytes.append(contentsOf: [UInt8(truncatingIfNeeded: word >> 8), UInt8(truncatingIfNeeded: word)])
    }

    mutating func sized(_ content: [UInt8]) {
        word(content.count)
        bytes.append(contentsOf: content)
    }
}
