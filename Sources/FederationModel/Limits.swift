/// Every bound of the protocol in one place. What is larger is refused before anything is allocated for it.
public enum Limits {
    /// Bytes of an identifier (``ServerID``, ``WorldID``, …).
    public static let identifierBytes = 64
    /// Bytes of a display name.
    public static let nameBytes = 128
    /// Bytes of a URL.
    public static let urlBytes = 2_048
    /// Bytes of a host name (RFC 1035 §3.1).
    public static let hostBytes = 253
    /// Largest magnitude of a spawn coordinate.
    public static let coordinate = 1_000_000_000.0
    /// Bytes of a player's opaque state.
    public static let snapshotBytes = 1 << 20
    /// Bytes of all snapshots that one server keeps in memory.
    public static let allSnapshotsBytes = 1 << 30
    /// Players that one peer can bring here who have not come from it before: each leaves a record and a token for good.
    /// The default.
    public static let passagesPerPeer = 100_000
    /// The same of all peers together. The default.
    public static let passages = 250_000
    /// By how many terms a home server goes further that takes a player back whom it must have taken back before and has
    /// forgotten about: how often is not known.
    public static let forgottenTerms: UInt64 = 1_024
    /// Bytes of one handshake message.
    public static let handshakeMessageBytes = 8_192
    /// Bytes of one frame before sealing: a snapshot and what surrounds it.
    public static let frameBytes = (1 << 20) + (1 << 16)
    /// Bytes that sealing adds to a frame: the content byte and the AEAD tag.
    public static let recordOverheadBytes = 17
    /// Bytes of one record on the wire.
    public static let recordBytes = frameBytes + recordOverheadBytes
    /// Bytes of asset data in one chunk.
    public static let assetChunkBytes = 1 << 16
    /// Chunk requests on the way to one peer at one time.
    public static let assetRequestsInFlight = 16
    /// Bytes of one asset.
    public static let assetBytes: Int64 = 4 << 30
    /// Bytes of one world.
    public static let worldBytes: Int64 = 64 << 30
    /// Files of one world.
    public static let manifestEntries = 65_536
    /// Bytes of a manifest's canonical JSON.
    public static let manifestBytes = 32 << 20
    /// Bytes of a relative path in a world.
    public static let pathBytes = 1_024
    /// Bytes of a compact JWS: a token, a card, a receipt.
    public static let jwsBytes = 16_384
    /// Bytes of a session token: one is kept for every player who ever came, so it is held shorter than other documents.
    public static let tokenBytes = 4_096
    /// Bytes of a JSON request body, snapshots aside.
    public static let jsonBytes = 1 << 20
    /// Nesting of JSON values.
    public static let jsonDepth = 16
    /// Bytes of one text message on `/client`.
    public static let clientMessageBytes = 65_536
    /// Frames that may wait to be sent to one peer; then the channel closes as overloaded.
    public static let outboundFrames = 4_096
    /// Received frames that may wait to be handled before reading pauses.
    public static let inboundFrames = 256
    /// Open handoffs of one server, both directions.
    public static let openHandoffs = 100_000
    /// Open handoffs of one player: decisions that wait for receipts, and the last.
    public static let openHandoffsOfPlayer = 1_024
    /// Decisions about one player that wait for receipts and keep their snapshots, after the player has come again.
    public static let openSnapshotsOfPlayer = 8
    /// Handoffs that are taken up at once when more are due: each may send a frame, and ``outboundFrames`` may wait.
    public static let handoffsAtOnce = 1_024
    /// The pause before the next ``handoffsAtOnce``.
    public static let handoffPace: Duration = .milliseconds(100)
    /// Unfinished handshakes at one time.
    public static let openHandshakes = 1_024
    /// Cipher suites in one Hello.
    public static let suites = 16
    /// Records before the traffic key changes.
    public static let recordsPerKey: UInt64 = 1 << 20
    /// Time before the traffic key changes.
    public static let keyLifetime: Duration = .seconds(3_600)
    /// From the opening of a channel to Completed.
    public static let handshakeTimeout: Duration = .seconds(30)
    /// How long Completed trust lasts before a new handshake must renew it.
    public static let trustLifetime: Duration = .seconds(24 * 3_600)
    /// How far a peer's clock may be off.
    public static let clockSkew: Duration = .seconds(300)
    /// From the decision to the token's expiry.
    public static let tokenLifetime: Duration = .seconds(60)
    /// How far two servers' clocks may differ before tokens are refused as expired or not yet valid.
    public static let tokenLeeway: Duration = .seconds(30)
    /// From prepared to committed, besides four round trips; then the source aborts and the player stays. The default.
    public static let acceptTimeout: Duration = .milliseconds(200)
    /// The longest round trip that counts: a peer that answers heartbeats late must not keep players frozen.
    public static let acceptRoundTrip: Duration = .milliseconds(500)
    /// Round trips that an answer to an offer may take besides ``acceptTimeout``.
    public static let acceptRoundTrips = 4
    /// How long a world server may think about a player who arrives. The default.
    public static let arrivalTimeout: Duration = .milliseconds(120)
    /// Arrivals that may wait for their world server's word.
    public static let waitingArrivals = 4_096
    /// How long the ledger keeps a handoff that is over. The default.
    public static let handoffRetention: Duration = .seconds(24 * 3_600)
    /// Tokens in one frame of evidence.
    public static let evidenceTokens = 32
    /// Tokens that one answer to a position sends; the peer asks for more.
    public static let evidencePassages = 16_384
    /// Recalls of players who were never here that one server remembers, so that an old copy does not come in later.
    public static let rememberedRecalls = 65_536
    /// Of these, from one home server.
    public static let rememberedRecallsPerHome = 4_096
    /// Players in one recall.
    public static let recalledPlayers = 1_024
    /// How long statements under a key that was rotated away from still count.
    public static let keyOverlap: Duration = .seconds(3_600)
    /// Rotated-away keys that are remembered of one server.
    public static let retiredKeys = 8
    /// This server's own earlier keys, by which it recognises its own old decisions.
    public static let ownPastKeys = 64
    /// The pause before another revocation of the same server is passed on to the peers.
    public static let revocationPause: Duration = .seconds(60)
    /// Servers that are no peers whose revocations are passed on within that pause; those of peers always are.
    public static let revocationRelays = 1_024
    /// Servers of which two contradicting cards are kept; of others that contradict themselves only the fact is.
    public static let equivocations = 1_024
    /// How long an introduction may be valid.
    public static let introductionLifetime: Duration = .seconds(30 * 24 * 3_600)
    /// Introductions in one frame.
    public static let introductionsPerFrame = 32
    /// Patterns in each list of a trust policy.
    public static let policyPatterns = 1_024
    /// Bytes of one pattern of a trust policy.
    public static let patternBytes = 264
    /// Introducers that a trust policy can ask for.
    public static let introducers = 16
    /// Peers that were not added by hand.
    public static let automaticPeers = 1_024
    /// Servers that are believed on first use in ``firstUseWindow``: each leaves a binding for good.
    public static let firstUses = 64
    public static let firstUseWindow: Duration = .seconds(3_600)
    /// How often it is looked whether automatic trust is still given, besides when something changes.
    public static let trustReviewInterval: Duration = .seconds(60)
    /// How long this server's own introductions are valid.
    public static let introductionValidity: Duration = .seconds(7 * 24 * 3_600)
    /// The pause before the same server is introduced to the same peer again.
    public static let introductionPause: Duration = .seconds(24 * 3_600)
    /// Introductions that are kept of one peer, that one peer is sent in ``introductionPause``, and strangers of whom one peer may
    /// tell in it.
    public static let introductionsPerIntroducer = 64
    /// Introductions that are kept in all.
    public static let introductions = 4_096
    /// Introductions that one peer may send at once; as many more come free in ``introductionWindow``. One peer is sent half as many.
    public static let introductionBurst = 128
    public static let introductionWindow: Duration = .seconds(3_600)
    /// Cards of introduced servers that are looked for at one time.
    public static let cardSearches = 8
    /// The longest pause before the card of an introduced server is looked for again; the first is ``cardFetchPause``.
    public static let cardSearchPause: Duration = .seconds(24 * 3_600)
    /// The pause before a peer is asked for its card again whose key does not match, or whose card names an address that must be
    /// proved.
    public static let cardFetchPause: Duration = .seconds(30)
    /// The longest time that a server card may be valid, from its issue on.
    public static let serverCardLifetime: Duration = .seconds(400 * 24 * 3_600)
    /// Ids that a registry takes of strangers, unless its operator says otherwise; those that have left count, because they stay
    /// bound to their keys.
    public static let registeredServers = 100_000
    /// Registrations of strangers whose addresses are being proved at one time.
    public static let endpointProofs = 16
    /// Servers that one registry may list here.
    public static let listingsPerRegistry = 10_000
    /// Ids that one registry may bring here that were not known before, unless this server's operator says otherwise; those
    /// that have left count, because they stay bound to their keys.
    public static let listedServers = 50_000
    /// Bytes of one answer of a registry.
    public static let registryAnswerBytes = 1 << 20
    /// Registries that one server uses.
    public static let registries = 32
    /// Entries of a registry that one search looks at before it hands out a cursor to go on from.
    public static let searchedServers = 10_000
    /// Searches of a registry under way at one time that look at more entries than a page may have.
    public static let longSearches = 16
    /// Bytes of a search text.
    public static let searchTextBytes = 64
    /// Bytes of one line of a finding that goes to another server.
    public static let findingTextBytes = 200
    /// Findings in one answer to an inquiry.
    public static let findings = 8
    /// Worlds that one inquiry may ask about.
    public static let inquiryWorlds = 8
    /// How long an inquiry is valid.
    public static let inquiryLifetime: Duration = .seconds(60)
    /// Inquiries of one server that are answered at once; ``inquiryPause`` later one more.
    public static let inquiriesPerServer = 20
    public static let inquiryPause: Duration = .seconds(6)
    /// Inquiries of all servers that are answered at once; two more every second.
    public static let inquiries = 240
    public static let inquiryPauseOfAll: Duration = .milliseconds(500)
    /// Inquiries that are remembered, so that none is answered twice.
    public static let rememberedInquiries = 4_096
    /// Servers that are tried back at one time.
    public static let triedBack = 8
    /// Addresses of one server that an examination tries.
    public static let examinedEndpoints = 4
    /// Peers that are told at one time that this server is back.
    public static let returnNotices = 8
    /// The longest pause before the same peer is told again; the first is ``dialBackoffMaximum``.
    public static let returnNoticePause: Duration = .seconds(3_600)
    /// The longest when the last notice did not reach it.
    public static let lostReturnNoticePause: Duration = .seconds(240)
    /// First pause before dialling again; doubles, with jitter, up to ``dialBackoffMaximum``.
    public static let dialBackoffMinimum: Duration = .seconds(1)
    public static let dialBackoffMaximum: Duration = .seconds(30)
}
