/// An identifier that carries the hash of its text, made once, so that a look-up in a table of a million neither reads nor
/// hashes the text again.
///
/// It is SipHash under the key that Swift draws for each process: identifiers come from strangers, and who does not know
/// the key cannot choose ones that collide. So it differs from run to run, like every dictionary's, and for the same
/// reason nothing may follow from it: it is never sent, stored or printed, and no order comes from it. Tables find
/// entries by it and list them by text.
package protocol HashedIdentifier: Identifier {
    var textHash: Int { get }
}
