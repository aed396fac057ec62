import FederationModel
import Testing

@testable import FederationCrypto

@Suite("The Merkle tree")
struct MerkleTreeTests {
    // MARK: The vectors of the Certificate Transparency reference implementation

    /// The eight entries of `cpp/merkletree/merkle_tree_test.cc` in google/certificate-transparency, which
    /// `testonly` of google/trillian and transparency-dev/merkle took over.
    static let entries = [
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    ].compactMap { bytesFromHex($0) }

    /// The roots of the first 0, 1, … 8 of them, from the same place.
    static let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ].compactMap { ContentHash($0) }

    /// Entry, size and path: `PathTestVector` of the same test, counted from 0.
    static let paths: [(index: Int, size: Int, path: [String])] = [
        (0, 1, []),
        (
            0, 8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        ),
        (
            5, 8,
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        ),
        (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1, 5,
            [
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ]
        ),
    ]

    /// Sizes and proof: `ProofTestVector` of the same test.
    static let proofs: [(earlier: Int, size: Int, proof: [String])] = [
        (1, 1, []),
        (
            1, 8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        ),
        (
            6, 8,
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        ),
        (
            2, 5,
            [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ]
        ),
    ]

    static func tree(_ entries: some Sequence<[UInt8]>) -> MerkleTree {
        var tree = MerkleTree()
        for entry in entries { tree.append(entry) }
        return tree
    }

    @Test("the roots are those of the Certificate Transparency reference")
    func referenceRoots() {
        #expect(Self.entries.count == 8 && Self.roots.count == 9)
        for size in 0...8 {
            #expect(Self.tree(Self.entries[..<size]).root == Self.roots[size])
            #expect(Self.tree(Self.entries).root(size: size) == Self.roots[size])
        }
        #expect(MerkleTree().root == MerkleHash.empty)
    }

    @Test("the proofs of inclusion are those of the Certificate Transparency reference")
    func referencePaths() throws {
        let tree = Self.tree(Self.entries)
        for vector in Self.paths {
            let proof = try #require(tree.inclusionProof(of: vector.index, size: vector.size))
            #expect(proof.map(\.description) == vector.path)
            #expect(
                MerkleProof.isIncluded(
                    MerkleHash.leaf(Self.entries[vector.index]), at: vector.index, size: vector.size,
                    root: Self.roots[vector.size], proof: proof))
        }
    }

    @Test("the proofs of consistency are those of the Certificate Transparency reference")
    func referenceProofs() throws {
        let tree = Self.tree(Self.entries)
        for vector in Self.proofs {
            let proof = try #require(tree.consistencyProof(from: vector.earlier, to: vector.size))
            #expect(proof.map(\.description) == vector.proof)
            #expect(
                MerkleProof.isConsistent(
                    Self.roots[vector.earlier], size: vector.earlier, with: Self.roots[vector.size],
                    size: vector.size, proof: proof))
        }
    }

    // MARK: Against the definition

    static let many = (0..<64).map { Array("entry \($0)".utf8) }

    @Test("up to 64 entries every root and every proof is that of the definition, and verifies")
    func definition() throws {
        let whole = Self.tree(Self.many)
        let roots = (0...Self.many.count).map { NaiveMerkle.root(Self.many[..<$0]) }
        for size in 0...Self.many.count {
            let entries = Self.many[..<size]
            let root = roots[size]
            #expect(Self.tree(entries).root == root)
            #expect(whole.root(size: size) == root)
            for index in 0..<size {
                let proof = try #require(whole.inclusionProof(of: index, size: size))
                #expect(proof == NaiveMerkle.path(index, entries))
                let leaf = try #require(whole.leafHash(at: index))
                #expect(MerkleProof.isIncluded(leaf, at: index, size: size, root: root, proof: proof))
            }
            for earlier in 1..<max(1, size + 1) {
                let proof = try #require(whole.consistencyProof(from: earlier, to: size))
                #expect(proof == NaiveMerkle.proof(earlier, entries))
                #expect(
                    MerkleProof.isConsistent(
                        roots[earlier], size: earlier, with: root, size: size, proof: proof))
            }
        }
    }

    @Test("a tree read in from leaf hashes and a frontier are the tree that was appended to")
    func otherWays() throws {
        var frontier = MerkleFrontier()
        for size in 0...Self.many.count {
            let grown = Self.tree(Self.many[..<size])
            let bytes = try (0..<size).flatMap { try #require(grown.leafHash(at: $0)).bytes }
            var read = try #require(MerkleTree(leafHashes: bytes))
            #expect(read.root == grown.root && frontier.root == grown.root && frontier.count == size)
            #expect(MerkleFrontier(count: size, hashes: frontier.hashes) == frontier)
            #expect(MerkleFrontier(count: size, hashes: frontier.hashes + [grown.root]) == nil)
            read.append([1])
            #expect(read.root == NaiveMerkle.root((Self.many[..<size] + [[1]])[...]))
            if size < Self.many.count { frontier.append(Self.many[size]) }
        }
        #expect(MerkleTree(leafHashes: [1, 2, 3]) == nil)
    }

    // MARK: What must not verify

    @Test("a proof of inclusion for another entry, place, size or root, cut, extended or reordered is refused")
    func falseInclusion() throws {
        let tree = Self.tree(Self.many)
        for size in 1...24 {
            let root = try #require(tree.root(size: size))
            for index in 0..<size {
                let leaf = try #require(tree.leafHash(at: index))
                let proof = try #require(tree.inclusionProof(of: index, size: size))
                func holds(
                    _ leaf: ContentHash? = nil, at other: Int? = nil, size otherSize: Int? = nil,
                    root otherRoot: ContentHash? = nil, proof otherProof: [ContentHash]? = nil
                ) -> Bool {
                    MerkleProof.isIncluded(
                        leaf ?? tree.leafHash(at: index) ?? root, at: other ?? index, size: otherSize ?? size,
                        root: otherRoot ?? root, proof: otherProof ?? proof)
                }
                #expect(holds())
                #expect(!holds(MerkleHash.leaf([9])) && !holds(root: MerkleHash.leaf([9])))
                #expect(!holds(proof: proof + [leaf]) && !holds(proof: [leaf] + proof))
                #expect(!holds(proof: [ContentHash](repeating: leaf, count: MerkleProof.maximumHashes + 1)))
                #expect(!holds(at: -1) && !holds(at: size) && !holds(at: .max, size: .max))
                for other in 0..<size where other != index { #expect(!holds(at: other)) }
                if !proof.isEmpty {
                    #expect(
                        !holds(proof: proof.dropLast()) && !holds(proof: Array(proof.dropFirst())) && !holds(proof: []))
                }
                if proof.count > 1, Set(proof).count > 1 { #expect(!holds(proof: proof.reversed())) }
            }
        }
        // A node's two hashes are no leaf, because leaves are hashed under another prefix.
        let four = Self.tree(Self.many[..<4])
        let left = NaiveMerkle.root(Self.many[..<2])
        let right = NaiveMerkle.root(Self.many[2..<4])
        #expect(
            !MerkleProof.isIncluded(
                MerkleHash.leaf(left.bytes + right.bytes), at: 0, size: 1, root: four.root, proof: []))
    }

    @Test("a proof of consistency between lists of which one does not begin with the other is refused")
    func falseConsistency() throws {
        let tree = Self.tree(Self.many)
        // The same registry with one entry changed, at each place.
        for size in 2...20 {
            let root = try #require(tree.root(size: size))
            for earlier in 1..<size {
                let proof = try #require(tree.consistencyProof(from: earlier, to: size))
                let before = try #require(tree.root(size: earlier))
                func holds(
                    _ before: ContentHash, _ proof: [ContentHash], size otherSize: Int? = nil, root: ContentHash
                ) -> Bool {
                    MerkleProof.isConsistent(
                        before, size: earlier, with: root, size: otherSize ?? size, proof: proof)
                }
                #expect(holds(before, proof, root: root))
                #expect(!holds(before, proof + [root], root: root) && !holds(before, [], root: root))
                #expect(!holds(before, Array(proof.dropLast()), root: root))
                #expect(!holds(root, proof, root: before))
                #expect(!MerkleProof.isConsistent(root, size: size, with: before, size: earlier, proof: proof))
                for changed in 0..<earlier {
                    var entries = Self.many
                    entries[changed] = [0xFF]
                    let other = Self.tree(entries)
                    let otherRoot = try #require(other.root(size: size))
                    let otherProof = try #require(other.consistencyProof(from: earlier, to: size))
                    #expect(!holds(before, otherProof, root: otherRoot))
                    #expect(!holds(before, proof, root: otherRoot))
                }
            }
        }
    }

    @Test("the empty list comes before every list and a list comes before itself, without a proof")
    func trivialConsistency() throws {
        let tree = Self.tree(Self.many)
        let root = tree.root
        #expect(MerkleProof.isConsistent(MerkleHash.empty, size: 0, with: root, size: 64, proof: []))
        #expect(!MerkleProof.isConsistent(root, size: 0, with: root, size: 64, proof: []))
        #expect(!MerkleProof.isConsistent(MerkleHash.empty, size: 0, with: root, size: 64, proof: [root]))
        #expect(MerkleProof.isConsistent(root, size: 64, with: root, size: 64, proof: []))
        #expect(!MerkleProof.isConsistent(MerkleHash.empty, size: 64, with: root, size: 64, proof: []))
        #expect(!MerkleProof.isConsistent(root, size: -1, with: root, size: 64, proof: []))
    }

    @Test("what lies outside the list has no hash, no root and no proof")
    func outside() {
        let tree = Self.tree(Self.many[..<5])
        #expect(tree.leafHash(at: 5) == nil && tree.leafHash(at: -1) == nil)
        #expect(tree.root(size: 6) == nil && tree.root(size: -1) == nil)
        #expect(tree.inclusionProof(of: 5, size: 5) == nil && tree.inclusionProof(of: 0, size: 6) == nil)
        #expect(tree.inclusionProof(of: 3, size: 3) == nil && tree.inclusionProof(of: 0, size: 0) == nil)
        #expect(tree.consistencyProof(from: 0, to: 5) == nil && tree.consistencyProof(from: 4, to: 3) == nil)
        #expect(tree.consistencyProof(from: 3, to: 6) == nil && MerkleTree().consistencyProof(from: 1, to: 1) == nil)
    }
}
