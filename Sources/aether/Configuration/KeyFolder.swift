import FederationCrypto
import FederationModel
import Foundation

/// A server's key files as they are going to be: what is moved and removed here happens on the disk only when it is carried out.
/// So a start can be tried without changing anything, and one that is refused has changed nothing.
struct KeyFolder {
    private enum Step {
        case move(String, to: String)
        case remove(String)
    }

    private let home: ServerHome
    private let id: ServerID
    private var steps: [Step] = []
    /// Where the content of a path stands now, where that is another one; nil for a path that is going to be empty.
    private var places: [String: String?] = [:]

    init(_ home: ServerHome, id: ServerID) {
        self.home = home
        self.id = id
    }

    private func place(of path: String) -> String? {
        if let moved = places[path] { moved } else { path }
    }

    func exists(_ path: String) -> Bool {
        place(of: path).map { FileManager.default.fileExists(atPath: $0) } ?? false
    }

    func read(_ path: String) throws -> ServerIdentity {
        guard let place = place(of: path) else { throw PrivateFile.missing(path, what: "the key") }
        return try home.identity(id: id, from: place)
    }

    /// Whether a file holds a key that is meant. One that cannot be read does not.
    func holds(_ path: String, _ isMeant: (PublicKey) -> Bool) -> Bool {
        exists(path) && (try? read(path)).map { isMeant($0.publicKey) } == true
    }

    mutating func move(_ from: String, to: String) {
        steps.append(.move(from, to: to))
        places.updateValue(place(of: from), forKey: to)
        places.updateValue(nil, forKey: from)
    }

    mutating func remove(_ path: String) {
        steps.append(.remove(path))
        places.updateValue(nil, forKey: path)
    }

    /// Does it, in this order, each step durably before the next.
    func carryOut() throws {
        for step in steps {
            switch step {
            case .move(let from, let to):
                guard rename(from, to) == 0 else {
                    throw Refusal(
                        .unavailable, code: "data.failed",
                        reason: "\(from) could not be moved: \(String(cString: strerror(errno)))",
                        remedy: "see to the directory's owner, mode and free space")
                }
                try PrivateFile.synchroniseDirectory(home.path)
            case .remove(let path):
                try PrivateFile.remove(path)
            }
        }
    }
}
