import FederationCore
import FederationCrypto
import FederationModel
import FederationService
import Foundation

/// The files in a data directory that hold one server's keys, each 32 bytes in hex and readable by its owner only:
/// `identity.key`, the present one; `next.key`, which the present one has committed to; `next.key.pending`, which that one
/// will commit to; and, between `aether keys revoke` and the server's taking note of it, `replacement.key` and
/// `replacement-next.key` with the revocation in `replacement.jws`. `recovery.sha256` is the commitment to the recovery key,
/// which itself is nowhere here.
///
/// The store says which key is the present one and what it has promised; the files follow it. So a crash between any two
/// steps is mended at the next start, and a file that is moved elsewhere takes no promise with it.
struct KeyFiles: IdentityKeeper {
    let home: ServerHome
    let id: ServerID

    private func path(_ name: String) -> String { home.path + "/" + name }

    var identityFile: String { home.identityFile }
    var nextFile: String { path("next.key") }
    var pendingFile: String { path("next.key.pending") }
    var replacementFile: String { path("replacement.key") }
    var replacementNextFile: String { path("replacement-next.key") }
    var revocationFile: String { path("replacement.jws") }
    var recoveryFile: String { path("recovery.sha256") }

    // MARK: Making

    /// Makes the next key and the recovery key. Called before the identity is made: a commitment that is there was left by an
    /// attempt that was cut short, and nobody has its recovery key.
    ///
    /// - Returns: the recovery key, to be shown once and then forgotten.
    func prepare() throws -> RecoveryCode {
        _ = try unpromised(nextFile)
        try PrivateFile.remove(recoveryFile)
        let code = RecoveryCode()
        try PrivateFile.create(recoveryFile, try code.identity(of: id).publicKey.commitment.description + "\n")
        return code
    }

    /// What the files say of the present key's promises: all that is known of them before a start.
    func commitment() throws -> KeyCommitment {
        KeyCommitment(
            next: exists(nextFile) ? try read(nextFile).publicKey.commitment : nil, recovery: try recovery())
    }

    func recovery() throws -> ContentHash? {
        guard exists(recoveryFile) else { return nil }
        guard let hash = ContentHash(try PrivateFile.read(recoveryFile, what: "the recovery key's hash")) else {
            throw Refusal(
                .unavailable, code: "recovery.damaged",
                reason: "\(recoveryFile) does not hold a hash (64 hex digits)", remedy: "restore it from a backup")
        }
        return hash
    }

    /// The present identity, once the files are what the store says that they are. What the store has not noted yet is
    /// taken from the files. Called while nobody else uses the directory.
    func identify(_ keys: inout OwnKeys) throws -> ServerIdentity {
        PrivateFile.removeUnfinished(in: home.path)
        do {
            let folder = try plan(&keys)
            try folder.carryOut()
            if keys.commitment?.next == nil {
                try make(nextFile)
                keys.commitment?.next = try read(nextFile).publicKey.commitment
            }
            let identity = try read(identityFile)
            keys.present = identity.publicKey
            return identity
        } catch {
            // Whatever is wrong with the keys so far, the owner's replacement takes their place.
            guard let (replaced, identity) = try? replacement(of: keys) else { throw error }
            keys = replaced
            return identity
        }
    }

    /// Whether a start with what the store knows would be refused for these files. Nothing is changed.
    ///
    /// - Throws: what such a start would throw.
    func check(_ keys: OwnKeys) throws {
        guard !keys.isDead else { throw FederationServer.deadForGood }
        var planned = keys
        do {
            _ = try plan(&planned)
        } catch {
            guard (try? replacement(of: planned)) != nil else { throw error }
        }
    }

    /// What is to happen to the files so that they are what the store says that they are.
    ///
    /// - Parameter keys: what the store has not noted is taken from the files; a next key that is nowhere promised and not there
    ///   is still to be made.
    private func plan(_ keys: inout OwnKeys) throws -> KeyFolder {
        var folder = KeyFolder(home, id: id)
        try catchUp(&keys)
        if let present = keys.present { try settle(present, promising: keys.commitment, in: &folder) }
        try keepPromise(&keys, in: folder)
        // Before the server is anybody's: it would not take it, and not go on without.
        if let waiting = try waiting(), waiting.identity.publicKey != (try folder.read(identityFile).publicKey),
            try replacement(of: keys) == nil
        {
            throw Refusal(
                .conflict, code: "keys.badRevocation",
                reason: "\(revocationFile) is not a new revocation of \(id) for the key in \(replacementFile)",
                remedy: "remove the replacement files, and make them anew with: aether keys revoke")
        }
        return folder
    }

    /// A store that is older than a rotation knows the key of these files as its next one.
    private func catchUp(_ keys: inout OwnKeys) throws {
        guard let former = keys.present, let promised = keys.commitment?.next else { return }
        let present = try read(identityFile).publicKey
        guard present != former, present.commitment == promised else { return }
        guard exists(nextFile), let next = try? read(nextFile).publicKey, ![present, former].contains(next) else {
            throw Refusal(
                .conflict, code: "keys.noNext",
                reason: "the database is older than the key in \(identityFile), and \(nextFile) is not the next one's",
                remedy:
                    "restore next.key from the backup that identity.key is from; if the two were swapped, swap them back"
            )
        }
        keys.past = (keys.past + [former]).suffix(Limits.ownPastKeys)
        // They do not lead to the present key: the last one is in the newer database.
        keys.rotations = []
        keys.present = present
        keys.commitment?.next = next.commitment
    }

    /// Holds the files to what was promised. What was not promised yet is promised now: peers take that.
    private func keepPromise(_ keys: inout OwnKeys, in folder: KeyFolder) throws {
        var promised = keys.commitment ?? KeyCommitment()
        if let next = promised.next {
            guard try !folder.exists(nextFile) || folder.read(nextFile).publicKey.commitment == next else {
                throw Refusal(
                    .conflict, code: "keys.notPromised",
                    reason: "\(nextFile) holds another key than the one that this server has committed to",
                    remedy: "put the right one in its place, or move it away: without it the key cannot be rotated")
            }
        } else {
            // Whoever has a recovery key has promised a next one as well, and peers may know that promise.
            let isThere = folder.exists(nextFile)
            guard isThere || !exists(recoveryFile) else {
                throw Refusal(
                    .conflict, code: "keys.noNext",
                    reason: "\(nextFile) is not there, and the database does not know yet what was promised",
                    remedy: "put it back for this start; if it is lost, replace the keys with: aether keys revoke")
            }
            if isThere { promised.next = try folder.read(nextFile).publicKey.commitment }
        }
        if let hash = promised.recovery { try holdRecovery(to: hash) }
        promised.recovery = try recovery()
        keys.commitment = promised
    }

    /// - Throws: `recovery.notPromised` unless the file holds what the server has committed to.
    func holdRecovery(to hash: ContentHash) throws {
        let recovery = try recovery()
        guard recovery != hash else { return }
        throw Refusal(
            .conflict, code: "recovery.notPromised",
            reason: "\(recoveryFile) \(recovery == nil ? "is not there" : "holds another hash"), and this server has "
                + "committed to \(hash)",
            remedy: "restore the file from a backup, or write that hash into it (mode 0600)")
    }

    /// What the keys become by the replacement that waits. No file is touched: the store has to take note of it first.
    private func replacement(of keys: OwnKeys) throws -> (OwnKeys, ServerIdentity)? {
        guard let (identity, revocation) = try waiting(), let recovery = try keys.commitment?.recovery ?? recovery(),
            let replaced = OwnKeys(
                replacedBy: revocation, after: keys, of: id, with: identity.publicKey, recovery: recovery)
        else { return nil }
        return (replaced, identity)
    }

    /// The replacement that waits. A revocation whose key is not beside it was taken long ago.
    private func waiting() throws -> (identity: ServerIdentity, revocation: String)? {
        guard exists(revocationFile), exists(replacementFile) else { return nil }
        let revocation = try PrivateFile.read(revocationFile, what: "the revocation of this server's keys")
        return (try read(replacementFile), revocation)
    }

    /// Whether a replacement waits that the owner has made with this recovery key.
    ///
    /// - Throws: `keys.replacing` for one that no server would take.
    func waits(under recovery: RecoveryCode, after noted: OwnKeys?) throws -> Bool {
        guard exists(revocationFile), exists(replacementFile) else { return false }
        let hash = try recovery.identity(of: id).publicKey.commitment
        guard let (identity, revocation) = try? waiting(),
            OwnKeys(
                replacedBy: revocation, after: noted, of: id, with: identity.publicKey, recovery: hash)
                != nil
        else {
            throw Refusal(
                .conflict, code: "keys.replacing",
                reason:
                    "the replacement that waits in \(revocationFile) is damaged, not of this recovery key, or older than the last one",
                remedy: "remove replacement.jws, replacement.key and replacement-next.key there, and repeat the command"
            )
        }
        return true
    }

    /// Makes a replacement for every key of this server, and the revocation that says so.
    ///
    /// - Returns: the key that will be the present one. By then a server that is beginning may have taken it.
    func makeReplacement(_ recovery: RecoveryCode, number: UInt64, at time: Timestamp) throws -> PublicKey {
        guard !exists(revocationFile) else {
            throw Refusal(
                .conflict, code: "keys.replacing", reason: "a replacement waits in \(revocationFile) already",
                remedy: "start the server: it takes it; or remove the replacement files to begin anew")
        }
        let replacement = KeyRevocation.Replacement(
            key: try unpromised(replacementFile),
            commitment: KeyCommitment(
                next: try unpromised(replacementNextFile).commitment, recovery: try self.recovery()))
        let revocation = KeyRevocation(issuer: id, number: number, replacement: replacement, issuedAt: time)
            .issue(by: try recovery.identity(of: id))
        // Last, because its presence says that the rest is there.
        try PrivateFile.create(revocationFile, revocation + "\n")
        return replacement.key
    }

    // MARK: IdentityKeeper

    func next() async throws(Refusal) -> ServerIdentity {
        try refusing {
            guard exists(nextFile) else {
                throw Refusal(
                    .notFound, code: "keys.noNext", reason: "\(nextFile) is not there",
                    remedy: "put it back where it was; without it only aether keys revoke changes the key")
            }
            return try read(nextFile)
        }
    }

    func commitmentAfterNext() async throws(Refusal) -> ContentHash {
        try refusing { try unpromised(pendingFile).commitment }
    }

    func replacement() async throws(Refusal) -> (identity: ServerIdentity, revocation: String)? {
        try refusing { try waiting() }
    }

    func adopt(_ present: PublicKey, promising commitment: KeyCommitment) async throws(Refusal) {
        try refusing {
            var folder = KeyFolder(home, id: id)
            try settle(present, promising: commitment, in: &folder)
            try folder.carryOut()
        }
    }

    /// - Parameter commitment: nil when it is not known what was promised.
    private func settle(
        _ present: PublicKey, promising commitment: KeyCommitment?, in folder: inout KeyFolder
    ) throws {
        func isPromised(_ key: PublicKey) -> Bool { commitment?.next.map { $0 == key.commitment } ?? true }

        if folder.holds(replacementFile, { $0 == present }) {
            folder.move(replacementFile, to: identityFile)
        } else if folder.holds(nextFile, { $0 == present }), try folder.read(identityFile).publicKey != present {
            folder.move(nextFile, to: identityFile)
        }
        guard try folder.read(identityFile).publicKey == present else {
            throw Refusal(
                .conflict, code: "identity.outdated",
                reason: "\(identityFile) holds another key than the one this server has changed to",
                remedy: "restore the newest key files and database, or replace the keys with: aether keys revoke")
        }
        // What belongs to the present key; each may have been done before a crash.
        if !folder.exists(replacementFile), folder.holds(replacementNextFile, isPromised) {
            folder.remove(pendingFile)
            folder.move(replacementNextFile, to: nextFile)
        } else if !folder.exists(nextFile), folder.holds(pendingFile, isPromised) {
            folder.move(pendingFile, to: nextFile)
        }
        // Last: it says that the rest is not done. After a power cut it may be back.
        if folder.exists(revocationFile), !folder.exists(replacementFile) { folder.remove(revocationFile) }
    }

    // MARK: Files

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// The key in a file that nobody has been told of yet, made where there is none.
    private func unpromised(_ path: String) throws -> PublicKey {
        do {
            if exists(path) { return try read(path).publicKey }
        } catch let refusal as Refusal where refusal.code == ServerHome.damagedIdentity {
            // What holds no key was never promised: a key is whole before anything is said of it.
            try PrivateFile.remove(path)
        }
        try make(path)
        return try read(path).publicKey
    }

    private func make(_ path: String) throws {
        guard !exists(path) else { return }
        var seed = SystemRandom.bytes(ServerIdentity.seedBytes)
        defer { PrivateFile.overwrite(&seed) }
        try PrivateFile.create(path, hexString(seed) + "\n")
    }

    private func read(_ path: String) throws -> ServerIdentity {
        try home.identity(id: id, from: path)
    }

    private func refusing<Value>(_ body: () throws -> Value) throws(Refusal) -> Value {
        do {
            return try body()
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Refusal(
                .unavailable, code: "keys.failed", reason: "the key files cannot be used: \(oneLine("\(error)"))",
                remedy: "see to the files in \(home.path)")
        }
    }
}
