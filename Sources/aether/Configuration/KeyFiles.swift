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
/// The store says which key is the present one; the files follow it. So a crash between any two steps is mended by
/// ``adopt(_:)`` at the next start.
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

    /// Makes the next key and, unless there is a commitment to one already, the recovery key. Called before the identity is made.
    ///
    /// - Returns: the recovery key, to be shown once and then forgotten; nil when there was one.
    func prepare() throws -> RecoveryCode? {
        try make(nextFile)
        guard !exists(recoveryFile) else { return nil }
        let code = RecoveryCode()
        try PrivateFile.create(recoveryFile, try code.identity(of: id).publicKey.commitment.description + "\n")
        return code
    }

    /// What stands for the present key's promises.
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

    /// The present identity and its commitments, once the files are what the store says that they are.
    func identify(_ stored: OwnKeys) throws -> (ServerIdentity, KeyCommitment) {
        if let present = stored.present { try settle(present) }
        // A directory of before there were rotations commits itself now.
        if !exists(nextFile) { try make(nextFile) }
        return (try read(identityFile), try commitment())
    }

    /// Makes a replacement for every key of this server, and the revocation that says so.
    func makeReplacement(_ recovery: RecoveryCode, number: UInt64, at time: Timestamp) throws -> String {
        guard !exists(revocationFile) else {
            throw Refusal(
                .conflict, code: "keys.replacing", reason: "a replacement waits in \(revocationFile) already",
                remedy: "start the server: it takes it; or remove the replacement files to begin anew")
        }
        try make(replacementFile)
        try make(replacementNextFile)
        let replacement = KeyRevocation.Replacement(
            key: try read(replacementFile).publicKey,
            commitment: KeyCommitment(
                next: try read(replacementNextFile).publicKey.commitment, recovery: try self.recovery()))
        let revocation = KeyRevocation(issuer: id, number: number, replacement: replacement, issuedAt: time)
            .issue(by: try recovery.identity(of: id))
        // Last, because its presence says that the rest is there.
        try PrivateFile.create(revocationFile, revocation + "\n")
        return revocation
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
        try refusing {
            if !exists(pendingFile) { try make(pendingFile) }
            return try read(pendingFile).publicKey.commitment
        }
    }

    func replacement() async throws(Refusal) -> (identity: ServerIdentity, revocation: String)? {
        try refusing {
            guard exists(revocationFile) else { return nil }
            return (
                try read(replacementFile),
                try PrivateFile.read(revocationFile, what: "the revocation of this server's keys")
            )
        }
    }

    func adopt(_ present: PublicKey) async throws(Refusal) {
        try refusing { try settle(present) }
    }

    private func settle(_ present: PublicKey) throws {
        if exists(nextFile), try read(nextFile).publicKey == present, try read(identityFile).publicKey != present {
            try move(nextFile, to: identityFile)
        } else if exists(replacementFile), try read(replacementFile).publicKey == present {
            try move(replacementFile, to: identityFile)
        }
        guard try read(identityFile).publicKey == present else {
            throw Refusal(
                .conflict, code: "identity.outdated",
                reason: "\(identityFile) holds another key than the one this server has changed to",
                remedy: "restore the newest key files, or replace the keys with: aether keys revoke")
        }
        // What belongs to the present key; each may have been done before a crash.
        if exists(replacementNextFile), !exists(replacementFile) {
            try? FileManager.default.removeItem(atPath: pendingFile)
            try move(replacementNextFile, to: nextFile)
            try? FileManager.default.removeItem(atPath: revocationFile)
        } else if exists(pendingFile), !exists(nextFile) {
            try move(pendingFile, to: nextFile)
        }
    }

    // MARK: Files

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    private func make(_ path: String) throws {
        guard !exists(path) else { return }
        var seed = SystemRandom.bytes(ServerIdentity.seedBytes)
        defer { PrivateFile.overwrite(&seed) }
        try PrivateFile.create(path, hexString(seed) + "\n")
    }

    private func read(_ path: String) throws -> ServerIdentity {
        try home.identity(id: id, from: path)
    }

    private func move(_ from: String, to: String) throws {
        guard rename(from, to) == 0 else {
            throw Refusal(
                .unavailable, code: "data.failed",
                reason: "\(from) could not be moved: \(String(cString: strerror(errno)))",
                remedy: "see to the directory's owner, mode and free space")
        }
        try PrivateFile.synchroniseDirectory(home.path)
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
