/*
 * One player between two servers, or three, as the handoff of PROTOCOL.md and the ledgers of FederationCore have it.
 *
 * Each server has a state in memory and one on disk. An input changes the memory and queues messages; `sync` makes the
 * memory durable and lets go of what was queued, which is what the group commit of the effect queue does. A crash, at any
 * moment and any number of times, forgets the memory and the queue. The network is the set of all messages ever sent:
 * each may arrive never, once, or again and again, in any order, also after a crash of either end.
 *
 * Every guard asks whether the step would change something. So `timeout` in the monitor means that all has come to rest.
 *
 * Claims: never playable at two; at rest playable at exactly one, with every acknowledged save, and no ledger entry open;
 * epochs only grow, and no two decisions share one; a token is redeemed at most once.
 *
 * -D options, each one mistake, are listed in `check`.
 */

#ifndef HANDOFFS
#define HANDOFFS 3
#endif
#ifndef SAVES
#define SAVES 1
#endif
/* With three the player walks to either of the others, or with RING from each to the next. */
#ifndef SERVERS
#define SERVERS 2
#endif

/* Where the player is, seen from one server. */
#define UNKNOWN 0
#define PLAYABLE 1
#define DEPARTING 2
#define DEPARTED 3

/* A handoff in one ledger. */
#define NONE 0
#define PREPARED 1
#define COMMITTED 2
#define COMPLETED 3
#define RESERVED 4
#define ADMITTED 5
#define ABORTED 6

/* Messages, one bit each; the direction follows from the kind. CONNECTED stands for the answer to the player's client. */
#define mOFFER 1
#define mACCEPT 2
#define mREJECT 4
#define mCOMMIT 8
#define mADMITTED 16
#define mABORT 32
#define mQUERY 64
#define mCONNECTED 128
#ifdef RECLAIM
/* The refusal of one whom the home has taken back; it alone ends what is decided. */
#define mRECALLED 256
#define MESSAGES short
#define ALL 511
/* An epoch is a term and a hop in it. Only the home, server 0, begins a term. */
#define term(e) ((e) / 4)
#else
#define MESSAGES byte
#define ALL 255
#define term(e) 0
#endif

typedef Durable {
    byte presence;
    byte epoch;
    byte revision;
    byte ledger[HANDOFFS];
    bit redeemed[HANDOFFS];
#ifdef RECLAIM
    /* Below this epoch nobody is played or let in. At the home: what its own reclaim began. */
    byte recall
#endif
}

Durable memory[SERVERS], disk[SERVERS];
MESSAGES network[HANDOFFS];
/* Queued behind the next sync: server * HANDOFFS + handoff. */
MESSAGES queue[SERVERS * HANDOFFS];
/* Contents of the tokens. */
byte source[HANDOFFS], epoch[HANDOFFS], revision[HANDOFFS];
#if SERVERS == 2
#define destination(h) (1 - source[h])
#else
byte towards[HANDOFFS];
#define destination(h) towards[h]
#endif
byte opened = 0;
byte saves = 0;
/* The newest save that the world server has been told is durable. */
byte acknowledged = 0;
bit closed[SERVERS];
#ifdef CLAIM_NEVER_BEFORE_THE_RECEIPT
bit cameBeforeTheReceipt = 0;
#endif
#if defined(RESTORE) || defined(EVIDENCE)
bit restored = 0;
#endif
#ifdef EVIDENCE
/* The player was handed back to server 0: a backup of before that has lost the only copy. */
bit cameBack = 0;
#endif
#ifdef RECLAIM
/* What the home has told everybody, which arrives at some time. */
byte recallSent = 0;
byte reclaims = 0;
#endif

#define at(s, h) ((s) * HANDOFFS + (h))
#define playable(s) (memory[s].presence == PLAYABLE)
#define has(h, m) ((network[h] | queue[at(me, h)]) & (m))
#define arrived(h, m) (network[h] & (m))
#define isMine(h) (h < opened && destination(h) == me)

inline send(h, m) { queue[at(me, h)] = queue[at(me, h)] | (m & (ALL - network[h])) }
inline sendAtOnce(h, m) { network[h] = network[h] | m }

#ifdef EVIDENCE
/* A copy out of a backup is in the world until its peers have been heard; what counts is the rest. */
#define onePlace() skip
#else
#define twoPlaces(s, t) (playable(s) && playable(t) && term(memory[s].epoch) == term(memory[t].epoch))
#if SERVERS == 2
inline onePlace() { assert(!twoPlaces(0, 1)) }
#else
inline onePlace() { assert(!twoPlaces(0, 1) && !twoPlaces(0, 2) && !twoPlaces(1, 2)) }
#endif
#endif

inline copy(from, to) {
    to.presence = from.presence;
    to.epoch = from.epoch;
    to.revision = from.revision;
#ifdef RECLAIM
    to.recall = from.recall;
#endif
    i = 0;
    do
    :: i < HANDOFFS ->
        to.ledger[i] = from.ledger[i];
        to.redeemed[i] = from.redeemed[i];
        i++
    :: else -> break
    od;
    i = 0
}

#if HANDOFFS == 2
#define differs(f) (memory[me].f[0] != disk[me].f[0] || memory[me].f[1] != disk[me].f[1])
#define queued (queue[at(me, 0)] || queue[at(me, 1)])
#define openFrom(e) (keepsOut(0, e) || keepsOut(1, e))
#elif HANDOFFS == 3
#define differs(f) (memory[me].f[0] != disk[me].f[0] || memory[me].f[1] != disk[me].f[1] \
    || memory[me].f[2] != disk[me].f[2])
#define queued (queue[at(me, 0)] || queue[at(me, 1)] || queue[at(me, 2)])
#define openFrom(e) (keepsOut(0, e) || keepsOut(1, e) || keepsOut(2, e))
#else
#define differs(f) (memory[me].f[0] != disk[me].f[0] || memory[me].f[1] != disk[me].f[1] \
    || memory[me].f[2] != disk[me].f[2] || memory[me].f[3] != disk[me].f[3])
#define queued (queue[at(me, 0)] || queue[at(me, 1)] || queue[at(me, 2)] || queue[at(me, 3)])
#define openFrom(e) (keepsOut(0, e) || keepsOut(1, e) || keepsOut(2, e) || keepsOut(3, e))
#endif
#ifdef EVIDENCE
/* The destination holds the token for good: here as long as its ledger has the handoff. */
#define shown(h) (source[h] == 0 && disk[1].ledger[h] == ADMITTED && epoch[h] > memory[0].epoch)
inline relearn(h) {
    do
    :: i < opened ->
        if
        :: source[i] == me && i != h && memory[me].ledger[i] == PREPARED -> memory[me].ledger[i] = ABORTED; send(i, mABORT)
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    if
    :: memory[me].ledger[h] == PREPARED || memory[me].ledger[h] == ABORTED -> memory[me].ledger[h] = COMMITTED
    :: else
    fi;
    memory[me].presence = DEPARTED;
    memory[me].epoch = epoch[h]
}
#endif
/* Whether a handoff stands in the way of one that begins epoch e. A decision of an earlier one that waits for its receipt does not. */
#define keepsOut(h, e) (memory[me].ledger[h] == PREPARED || memory[me].ledger[h] == RESERVED \
    || memory[me].ledger[h] == COMMITTED && epoch[h] >= (e))
#define isDirty (memory[me].presence != disk[me].presence || memory[me].epoch != disk[me].epoch \
    || memory[me].revision != disk[me].revision || differs(ledger) || differs(redeemed) || recallDiffers)
#ifdef RECLAIM
#define recallDiffers (memory[me].recall != disk[me].recall)
#define isRecalled(h) (epoch[h] < memory[me].recall)
#else
#define recallDiffers false
#endif

/* The player goes on at the source. */
inline abort(h) {
    memory[me].ledger[h] = ABORTED;
    if
    :: memory[me].presence == DEPARTING -> memory[me].presence = PLAYABLE
#if defined(TIMEOUT_AFTER_COMMIT) || defined(RESUME_COMMITTED)
    :: memory[me].presence == DEPARTED && memory[me].epoch == epoch[h] -> memory[me].presence = PLAYABLE
#endif
    :: else
    fi;
    onePlace();
    send(h, mABORT)
}

/* The decision. */
inline commit(h) {
    byte k;
    k = 0;
    do
    :: k < opened ->
        assert(k == h || epoch[k] != epoch[h] || source[k] != me ||
            (memory[me].ledger[k] != COMMITTED && memory[me].ledger[k] != COMPLETED));
        k++
    :: else -> break
    od;
    k = 0;
    assert(memory[me].presence == DEPARTING);
    assert(epoch[h] > memory[me].epoch);
    memory[me].ledger[h] = COMMITTED;
    memory[me].presence = DEPARTED;
    memory[me].epoch = epoch[h];
#ifdef COMMIT_BEFORE_DURABLE
    sendAtOnce(h, mCOMMIT)
#else
    send(h, mCOMMIT)
#endif
}

inline admit(h) {
#ifndef EPOCH_NOT_COMPARED
    assert(epoch[h] > memory[me].epoch || memory[me].presence == UNKNOWN);
    assert(memory[me].presence == UNKNOWN || memory[me].presence == DEPARTED || term(memory[me].epoch) < term(epoch[h]));
#endif
    memory[me].ledger[h] = ADMITTED;
    memory[me].presence = PLAYABLE;
    memory[me].epoch = epoch[h];
    memory[me].revision = revision[h];
#ifdef CLAIM_NEVER_BEFORE_THE_RECEIPT
    if
    :: h == HANDOFFS - 1 && source[0] == me && memory[me].ledger[0] == COMMITTED -> cameBeforeTheReceipt = 1
    :: else
    fi;
#endif
    onePlace();
    send(h, mADMITTED)
#ifdef EVIDENCE
    ;
    if
    :: me == 0 -> cameBack = 1
    :: else
    fi
#endif
}

#ifdef EPOCH_NOT_COMPARED
#define epochIsNew(h) true
#else
#define epochIsNew(h) (memory[me].presence == UNKNOWN || epoch[h] > memory[me].epoch)
#endif
#define mayReserve(h) (!closed[me] && !openFrom(epoch[h]) && epochIsNew(h) \
    && (memory[me].presence == UNKNOWN || memory[me].presence == DEPARTED))

/* Asked about a handoff that is over, of a player who has been here again since. */
#define hasComeAgain(h) (memory[me].epoch > epoch[h])

#ifdef PRESUMED_COMMIT
#define saysAborted(h) (memory[me].ledger[h] == ABORTED)
#else
#define saysAborted(h) (memory[me].ledger[h] == ABORTED || memory[me].ledger[h] == NONE)
#endif
/* A restored server may have forgotten that it has taken a token; that it may take it once more is no claim here. */
#ifdef EVIDENCE
#define mayRedeem(h) !has(h, mCONNECTED)
#else
#define mayRedeem(h) true
#endif
#ifdef FROZEN_MAY_CHANGE
#define mayChange (playable(me) || memory[me].presence == DEPARTING)
#else
#define mayChange playable(me)
#endif

/* One handoff at one server. */
proctype Handoff(byte me; byte h) {
end:
    do
    /* Destination: the offer. The refusal is open to it whenever no place is kept: no room, a ban, another world. */
    :: atomic { isMine(h) && arrived(h, mOFFER) && memory[me].ledger[h] == NONE && mayReserve(h) ->
        memory[me].ledger[h] = RESERVED;
#ifdef ACCEPT_BEFORE_DURABLE
        sendAtOnce(h, mACCEPT)
#else
        send(h, mACCEPT)
#endif
        }
    :: atomic { isMine(h) && (arrived(h, mOFFER) || arrived(h, mCOMMIT)) &&
            (memory[me].ledger[h] == NONE || memory[me].ledger[h] == ABORTED) && !has(h, mREJECT) ->
        send(h, mREJECT) }
#ifdef RECLAIM
    :: atomic { isMine(h) && (arrived(h, mOFFER) || arrived(h, mCOMMIT)) && isRecalled(h) &&
            (memory[me].ledger[h] == NONE || memory[me].ledger[h] == ABORTED) && !has(h, mRECALLED) ->
        send(h, mRECALLED) }
#endif
    :: atomic { isMine(h) && arrived(h, mOFFER) && memory[me].ledger[h] == RESERVED &&
            !has(h, mACCEPT) -> send(h, mACCEPT) }
    :: atomic { isMine(h) && (arrived(h, mOFFER) || arrived(h, mCOMMIT)) &&
            memory[me].ledger[h] == ADMITTED && !has(h, mADMITTED) -> send(h, mADMITTED) }

    /* Destination: the decision, the abort, the question. */
    :: atomic { isMine(h) && arrived(h, mCOMMIT) && memory[me].ledger[h] == RESERVED -> admit(h) }
    :: atomic { isMine(h) && arrived(h, mABORT) && memory[me].ledger[h] == RESERVED ->
        memory[me].ledger[h] = ABORTED }
    :: atomic { isMine(h) && memory[me].ledger[h] == RESERVED && !has(h, mQUERY) -> send(h, mQUERY) }
#ifdef DESTINATION_DECIDES
    /* The decision is moved: whoever keeps a place for the player admits them, without the source's word. */
    :: atomic { isMine(h) && memory[me].ledger[h] == RESERVED -> admit(h) }
#endif
#ifdef RESERVATION_TIMES_OUT
    :: atomic { isMine(h) && memory[me].ledger[h] == RESERVED -> memory[me].ledger[h] = ABORTED }
#endif

#ifndef WITHOUT_CLIENT
    /* Destination: the player's client shows the token. */
    :: atomic { isMine(h) && memory[me].ledger[h] == ADMITTED && !memory[me].redeemed[h] &&
            playable(me) && memory[me].epoch == epoch[h] && mayRedeem(h) ->
        memory[me].redeemed[h] = 1;
#ifdef REDEEM_BEFORE_DURABLE
        assert(!arrived(h, mCONNECTED));
        sendAtOnce(h, mCONNECTED)
#else
        assert(!has(h, mCONNECTED));
        send(h, mCONNECTED)
#endif
        }
#endif

    /* Source: the answers. */
    :: atomic { h < opened && source[h] == me && arrived(h, mACCEPT) && memory[me].ledger[h] == PREPARED -> commit(h) }
    :: atomic { h < opened && source[h] == me && (arrived(h, mACCEPT) || arrived(h, mQUERY)) &&
            saysAborted(h) && !has(h, mABORT) -> send(h, mABORT) }
#ifdef PRESUMED_COMMIT
    :: atomic { h < opened && source[h] == me && arrived(h, mQUERY) && memory[me].ledger[h] == NONE &&
            !has(h, mCOMMIT) -> send(h, mCOMMIT) }
#endif
    :: atomic { h < opened && source[h] == me && arrived(h, mREJECT) && memory[me].ledger[h] == PREPARED -> abort(h) }
    :: atomic { h < opened && source[h] == me && arrived(h, mADMITTED) && memory[me].ledger[h] == COMMITTED ->
        memory[me].ledger[h] = COMPLETED }

#ifdef RECLAIM
    /* Source: what it has decided is void, once the home says so. */
#ifdef VOID_BY_ANY_REFUSAL
    :: atomic { h < opened && source[h] == me && arrived(h, mREJECT) && memory[me].ledger[h] == COMMITTED ->
        memory[me].ledger[h] = ABORTED }
#endif
    :: atomic { h < opened && source[h] == me && arrived(h, mRECALLED) && memory[me].ledger[h] == COMMITTED ->
        memory[me].ledger[h] = ABORTED }
    :: atomic { h < opened && source[h] == me && arrived(h, mRECALLED) && memory[me].ledger[h] == PREPARED -> abort(h) }
#endif

    /* Source: time, and what is said again after a restart or a refusal. */
    :: atomic { h < opened && source[h] == me && memory[me].ledger[h] == PREPARED -> abort(h) }
#ifdef TIMEOUT_AFTER_COMMIT
    :: atomic { h < opened && source[h] == me && memory[me].ledger[h] == COMMITTED -> abort(h) }
#endif
    :: atomic { h < opened && source[h] == me && memory[me].ledger[h] == PREPARED && !has(h, mOFFER) -> send(h, mOFFER) }
    :: atomic { h < opened && source[h] == me && (memory[me].ledger[h] == COMMITTED ||
            memory[me].ledger[h] == COMPLETED && arrived(h, mQUERY) && !hasComeAgain(h)) && !has(h, mCOMMIT) -> send(h, mCOMMIT) }
    :: atomic { h < opened && source[h] == me && memory[me].ledger[h] == COMPLETED && arrived(h, mQUERY) &&
            hasComeAgain(h) && !has(h, mABORT) -> send(h, mABORT) }

    /* Source: an abort that is durable may be forgotten; silence means aborted. */
    :: atomic { h < opened && source[h] == me && memory[me].ledger[h] == ABORTED && disk[me].ledger[h] == ABORTED ->
        memory[me].ledger[h] = NONE }
#ifdef ENTRIES_FORGOTTEN
    /* Either end forgets a crossing that both have done with; only the player's epoch stays. */
    :: atomic { h < opened && (memory[me].ledger[h] == COMPLETED || memory[me].ledger[h] == ADMITTED) &&
            disk[source[h]].ledger[h] != COMMITTED && disk[me].ledger[h] == memory[me].ledger[h] ->
        memory[me].ledger[h] = NONE;
        memory[me].redeemed[h] = 0 }
#endif
    od
}

proctype Server(byte me) {
    byte i = 0;
end:
    do
    /* The player walks through the portal to the other server. */
    :: atomic { opened < HANDOFFS && playable(me) && !openFrom(memory[me].epoch + 1) ->
        source[opened] = me;
#if SERVERS == 3
#ifdef RING
        towards[opened] = (me + 1) % 3;
#else
        if
        :: towards[opened] = (me + 1) % 3
        :: towards[opened] = (me + 2) % 3
        fi;
#endif
#endif
        epoch[opened] = memory[me].epoch + 1;
        revision[opened] = memory[me].revision;
        memory[me].ledger[opened] = PREPARED;
        memory[me].presence = DEPARTING;
        opened++;
        send(opened - 1, mOFFER) }

#ifdef RECLAIM
    /* The home's operator takes the player back, whether or not the host is gone: a new term begins. What the home has decided is
       void, and so is a place that it keeps for a way home in the old term. */
    :: atomic { me == 0 && reclaims < 1 && memory[me].presence == DEPARTED ->
        reclaims++;
        memory[me].presence = PLAYABLE;
#ifdef RECLAIM_KEEPS_TERM
        memory[me].epoch = memory[me].epoch + 1;
#else
        memory[me].epoch = (term(memory[me].epoch) + 1) * 4;
#endif
        memory[me].recall = memory[me].epoch;
        do
        :: i < HANDOFFS ->
            if
            :: source[i] == me && memory[me].ledger[i] == COMMITTED -> memory[me].ledger[i] = ABORTED
#ifndef RESERVATION_SURVIVES_RECLAIM
            :: source[i] != me && memory[me].ledger[i] == RESERVED -> memory[me].ledger[i] = ABORTED
#endif
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0;
        onePlace() }

#ifndef RECALL_IGNORED
    /* The other hears of it: it gives its copy up, and what is open and not decided ends. */
    :: atomic { me == 1 && memory[me].recall < recallSent ->
        memory[me].recall = recallSent;
        do
        :: i < opened ->
            if
            :: isRecalled(i) && memory[me].ledger[i] == RESERVED -> memory[me].ledger[i] = ABORTED
            :: isRecalled(i) && memory[me].ledger[i] == PREPARED -> memory[me].ledger[i] = ABORTED; send(i, mABORT)
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0;
        if
        :: memory[me].epoch < recallSent -> memory[me].presence = DEPARTED; memory[me].epoch = recallSent
        :: else
        fi }
#endif
#endif

#ifdef EVIDENCE
    /* A backup of before anything happened is put back, and the other shows what it was handed: the token that the restored
       server itself has signed. */
    :: atomic { me == 0 && !restored && memory[me].epoch > 0 ->
        restored = 1;
        memory[me].presence = PLAYABLE;
        memory[me].epoch = 0;
        memory[me].revision = 0;
        do
        :: i < HANDOFFS -> memory[me].ledger[i] = NONE; memory[me].redeemed[i] = 0; queue[at(me, i)] = 0; i++
        :: else -> break
        od;
        i = 0;
        copy(memory[me], disk[me]) }
#ifndef EVIDENCE_NOT_BELIEVED
    :: atomic { me == 0 && restored && opened > 0 && shown(0) -> relearn(0) }
    :: atomic { me == 0 && restored && opened > 1 && shown(1) -> relearn(1) }
#endif
#endif

    /* The world server saves. */
    :: atomic { saves < SAVES && mayChange ->
        saves++;
        memory[me].revision = saves }

#ifndef NEVER_CLOSED
    /* The operator lets nobody in any more. */
    :: atomic { !closed[me] -> closed[me] = 1 }
#endif

    :: atomic { (isDirty || queued) ->
        assert(memory[me].epoch >= disk[me].epoch);
        copy(memory[me], disk[me]);
        if
        :: (memory[me].presence == PLAYABLE || memory[me].presence == DEPARTING) &&
            memory[me].revision > acknowledged -> acknowledged = memory[me].revision
        :: else
        fi;
#ifdef RECLAIM
        if
        :: me == 0 && memory[me].recall > recallSent -> recallSent = memory[me].recall
        :: else
        fi;
#endif
        do
        :: i < HANDOFFS ->
            network[i] = network[i] | queue[at(me, i)];
            queue[at(me, i)] = 0;
            i++
        :: else -> break
        od;
        i = 0 }

    :: atomic { (isDirty || queued) ->
        copy(disk[me], memory[me]);
#ifdef RECLAIM
        if
        :: me == 0 -> reclaims = (memory[me].recall > 0 -> 1 : 0)
        :: else
        fi;
#endif
        do
        :: i < HANDOFFS -> queue[at(me, i)] = 0; i++
        :: else -> break
        od;
        i = 0;
#ifdef RESUME_COMMITTED
        do
        :: i < opened ->
            if
            :: source[i] == me && memory[me].ledger[i] == COMMITTED -> memory[me].presence = PLAYABLE;
                memory[me].ledger[i] = ABORTED
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0;
#endif
        onePlace() }

#ifdef RESTORE
    /* The data directory comes back from a backup that was made before anything happened. */
    :: atomic { me == 0 && !restored && memory[me].presence == DEPARTED && !queued ->
        restored = 1;
        memory[me].presence = PLAYABLE;
        memory[me].epoch = 0;
        memory[me].revision = 0;
        do
        :: i < HANDOFFS -> memory[me].ledger[i] = NONE; memory[me].redeemed[i] = 0; i++
        :: else -> break
        od;
        i = 0;
        copy(memory[me], disk[me]);
        onePlace() }
#endif
    od
}

#define atRest(s, h) (memory[s].ledger[h] == NONE || memory[s].ledger[h] == ABORTED || memory[s].ledger[h] == ADMITTED \
    || memory[s].ledger[h] == COMPLETED)
#define here(s) (playable(s) && memory[s].revision >= acknowledged)

init {
    byte i = 0;
    atomic {
        memory[0].presence = PLAYABLE;
        disk[0].presence = PLAYABLE;
        run Server(0);
        run Server(1);
#if SERVERS == 3
        run Server(2);
#endif
        do
        :: i < HANDOFFS -> run Handoff(0, i); run Handoff(1, i);
#if SERVERS == 3
            run Handoff(2, i);
#endif
            i++
        :: else -> break
        od;
        i = 0
    }
    timeout ->
#ifdef CLAIM_NEVER_BEFORE_THE_RECEIPT
    assert(!cameBeforeTheReceipt);
#endif
#ifdef CLAIM_NEVER_THERE_AND_BACK
    assert(!(epoch[0] == 1 && epoch[1] == 2 && memory[0].ledger[1] == ADMITTED));
#endif
#ifdef CLAIM_NEVER_TAKEN_BACK
    assert(!(memory[1].recall > 0 && memory[1].presence == PLAYABLE));
#endif
#ifdef EVIDENCE
    assert(playable(0) + playable(1) <= 1);
    assert(playable(0) + playable(1) == 1 || cameBack);
#else
#if SERVERS == 3
    assert(playable(0) + playable(1) + playable(2) == 1);
    assert(here(0) || here(1) || here(2));
#else
    assert(playable(0) + playable(1) == 1);
    assert(here(0) || here(1));
#endif
#endif
    do
    :: i < HANDOFFS ->
        assert(atRest(0, i) && atRest(1, i));
#if SERVERS == 3
        assert(atRest(2, i));
#endif
        i++
    :: else -> break
    od
}
