/// Names that many entries of another table share, each kept once under a number. Every use is counted, and a name that
/// nobody uses any more is forgotten.
struct NameTable<Name: Hashable & Sendable>: Sendable {
    private var numbers: [Name: UInt32] = [:]
    private var names: [Name?] = []
    private var uses: [UInt32] = []
    private var free: [UInt32] = []

    init() {}

    func number(of name: Name) -> UInt32? { numbers[name] }

    /// The name under a number that is in use.
    subscript(number: UInt32) -> Name {
        guard let name = names[Int(number)] else { preconditionFailure("the number is not in use") }
        return name
    }

    /// The number of a name, which is used once more from now on.
    mutating func take(_ name: Name) -> UInt32 {
        if let number = numbers[name] {
            uses[Int(number)] += 1
            return number
        }
        let number = free.popLast() ?? UInt32(names.count)
        if number < names.count {
            names[Int(number)] = name
            uses[Int(number)] = 1
        } else {
            names.append(name)
            uses.append(1)
        }
        numbers[name] = number
        return number
    }

    /// Ends one use.
    mutating func release(_ number: UInt32) {
        uses[Int(number)] -= 1
        guard uses[Int(number)] == 0, let name = names[Int(number)] else { return }
        numbers[name] = nil
        names[Int(number)] = nil
        free.append(number)
    }
}
