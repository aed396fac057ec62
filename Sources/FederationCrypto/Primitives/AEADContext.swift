import Crypto

#if canImport(CCryptoBoringSSL)
    import CCryptoBoringSSL
#endif

/// An AEAD under one key that works in place, on memory that the caller owns: nothing is allocated or copied for a
/// record, and the key is expanded once. BENCHMARKS.md has what that is worth.
///
/// It calls the AEAD that swift-crypto itself calls, in the C module that swift-crypto brings; where that module is
/// not to be had, ``AEAD`` does the work with its copies. The same bytes come out, which the tests and the fuzzer hold it to.
/// The expanded key is overwritten when the context dies: BoringSSL cleanses all that it frees.
struct AEADContext: ~Copyable, Sendable {
    /// What is refused: a key or a record that the AEAD does not take, or a record that is not authentic.
    struct Failure: Error {}

    #if canImport(CCryptoBoringSSL)
        /// Made here and handed to nobody; BoringSSL only reads it after that, from any thread.
        nonisolated(unsafe) private let context: UnsafeMutablePointer<EVP_AEAD_CTX>?

        init(_ aead: AEAD, key: SymmetricKey) {
            context = key.withUnsafeBytes { bytes in
                let key = bytes.assumingMemoryBound(to: UInt8.self)
                return CCryptoBoringSSL_EVP_AEAD_CTX_new(
                    aead.algorithm, key.baseAddress, key.count, AEAD.tagBytes)
            }
        }

        deinit {
            CCryptoBoringSSL_EVP_AEAD_CTX_free(context)
        }

        /// Seals what stands in `record` before the last ``AEAD/tagBytes``, which become the tag.
        func seal(_ record: UnsafeMutableRawBufferPointer, nonce: UnsafeRawBufferPointer) throws(Failure) {
            guard let context, record.count >= AEAD.tagBytes, nonce.count == AEAD.nonceBytes else { throw Failure() }
            let bytes = record.assumingMemoryBound(to: UInt8.self)
            let nonce = nonce.assumingMemoryBound(to: UInt8.self)
            var written = 0
            let isSealed = CCryptoBoringSSL_EVP_AEAD_CTX_seal(
                context, bytes.baseAddress, &written, bytes.count, nonce.baseAddress, nonce.count, bytes.baseAddress,
                bytes.count - AEAD.tagBytes, nil, 0)
            guard isSealed == 1, written == bytes.count else { throw Failure() }
        }

        /// Opens `record`: the plaintext stands in it afterwards, before the last ``AEAD/tagBytes``. After a failure it holds
        /// nothing of use.
        func open(_ record: UnsafeMutableRawBufferPointer, nonce: UnsafeRawBufferPointer) throws(Failure) {
            guard let context, record.count >= AEAD.tagBytes, nonce.count == AEAD.nonceBytes else { throw Failure() }
            let bytes = record.assumingMemoryBound(to: UInt8.self)
            let nonce = nonce.assumingMemoryBound(to: UInt8.self)
            var written = 0
            let isOpen = CCryptoBoringSSL_EVP_AEAD_CTX_open(
                context, bytes.baseAddress, &written, bytes.count, nonce.baseAddress, nonce.count, bytes.baseAddress,
                bytes.count, nil, 0)
            guard isOpen == 1, written == bytes.count - AEAD.tagBytes else { throw Failure() }
        }
    #else
        private let aead: AEAD
        private let key: SymmetricKey

        init(_ aead: AEAD, key: SymmetricKey) {
            self.aead = aead
            self.key = key
        }

        func seal(_ record: UnsafeMutableRawBufferPointer, nonce: UnsafeRawBufferPointer) throws(Failure) {
            guard record.count >= AEAD.tagBytes else { throw Failure() }
            do {
                let plaintext = Array(record.dropLast(AEAD.tagBytes))
                record.copyBytes(from: try aead.seal(plaintext, key: key, nonce: Array(nonce)))
            } catch {
                throw Failure()
            }
        }

        func open(_ record: UnsafeMutableRawBufferPointer, nonce: UnsafeRawBufferPointer) throws(Failure) {
            do {
                record.copyBytes(from: try aead.open(Array(record)[...], key: key, nonce: Array(nonce)))
            } catch {
                throw Failure()
            }
        }
    #endif
}

#if canImport(CCryptoBoringSSL)
    extension AEAD {
        fileprivate var algorithm: OpaquePointer? {
            switch self {
            case .aes256gcm: CCryptoBoringSSL_EVP_aead_aes_256_gcm()
            case .chacha20poly1305: CCryptoBoringSSL_EVP_aead_chacha20_poly1305()
            }
        }
    }
#endif
