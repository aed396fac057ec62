/*
 * The handshake of PROTOCOL.md between two honest servers, A and B, each willing to talk to the other and to M, a server
 * that both have on their lists and that belongs to the attacker. The attacker is the network as well: it sees every
 * message, and decides what each session receives, if anything: the fields of honest messages in any combination, own
 * keys, own ciphertexts, signatures of its own.
 *
 * Cryptography is symbolic and perfect. A term is the number of whoever made it:
 *   ephemeral key      session, or lowM / highM: a key of the attacker that sorts before / after every other
 *   encapsulation key  session, or ekM
 *   exchange key and signing key   server
 *   ciphertext         session that made it (for the encapsulation key in the Hello it received), or byM + k: made by the
 *                      attacker for encapsulation key k, or none
 *   signature          session that made it, or bySignM: made by the attacker, over whatever is wanted
 * A message that an honest server would refuse is not delivered: refusing ends the session and teaches nobody anything.
 *
 * Session 0 is A's, session 1 is B's; with -DSESSIONS=3 session 2 is B's as well.
 *
 * -D options take protections away, or give the attacker more, or choose what is claimed: see `check` and README.md.
 */

#ifndef SESSIONS
#define SESSIONS 2
#endif

#ifdef ORIGINAL
/* The shape that this design started from. */
#define UNSIGNED_HELLO
#define UNSIGNED_KEX
#define UNSIGNED_CIPHERTEXT
#define UNSALTED
#define STATIC_SECRET
#define UNBOUND_ID
#define ONE_KEY
#define CLASSICAL_ONLY
#endif

#define A 0
#define B 1
#define M 2
#define NOBODY 3
#define lowM SESSIONS
#define highM (SESSIONS + 1)
#define ekM SESSIONS
#define byM SESSIONS
#define bySignM SESSIONS
#define NO_CIPHERTEXT 15

#define owner(s) ((s) == 0 -> A : B)

/* What a session awaits. */
#define awaitingHello 0
#define awaitingSignature 1
#define awaitingReady 2
#define completed 3

typedef Session {
    byte stage;
    /* Whom it dialled, or NOBODY. */
    byte expects;
    /* The Hello that it received. Its own is (owner, expects, itself, itself, both suites). */
    byte id;
    byte meant;
    byte ephemeral;
    byte encapsulation;
    bit hybrid;
    /* The Signature that it received. Its own is (owner, owner, itself, itself). */
    byte signer;
    byte kex;
    byte ciphertext;
    byte signature
}
Session at[SESSIONS];
/* The order of the ephemeral keys. */
byte rank[SESSIONS];

#ifdef UNBOUND_ID
#define peer(s) at[s].signer
#else
#define peer(s) at[s].id
#endif

#define isLow(s) (at[s].ephemeral == highM || (at[s].ephemeral < SESSIONS && rank[s] < rank[at[s].ephemeral]))

/* s received the Hello that t sent, and the other way round, as far as the hash covers it. */
#define facing(s, t) (at[s].ephemeral == (t) && at[t].ephemeral == (s))
#ifdef UNSIGNED_HELLO
#define sameHellos(s, t) facing(s, t)
#else
#define sameHellos(s, t) (facing(s, t) && gotHello(s, t) && gotHello(t, s))
#endif
#define gotHello(s, t) (at[s].id == owner(t) && at[s].meant == at[t].expects && gotSuites(s, t))
#ifdef CLASSICAL_ONLY
#define gotSuites(s, t) true
#else
#define gotSuites(s, t) (at[s].encapsulation == (t) && at[s].hybrid)
#endif

/* The attacker has the signing key of a server. */
#ifdef STOLEN_SIGNING_KEY
#define signs(p) ((p) == M || (p) == A)
#else
#define signs(p) ((p) == M)
#endif
#ifdef STOLEN_EXCHANGE_KEY
#define agrees(p) ((p) == M || (p) == A)
#else
#define agrees(p) ((p) == M)
#endif

#define ciphertextOf(t) (at[t].hybrid -> (t) : NO_CIPHERTEXT)

/* s accepts t's signature under t's signing key. */
#define verifies(s, t) ((s) != (t) && at[t].stage >= awaitingSignature && owner(s) != owner(t) && sameHellos(s, t) && \
    trusts(s, owner(t)))
#ifdef UNBOUND_ID
#define trusts(s, key) ((key) != owner(s))
#else
#define trusts(s, key) (at[s].id == (key))
#endif

/* s received the Signature that t sent. */
#define gotSignature(s, t) (at[s].signer == owner(t) && at[s].kex == owner(t) && at[s].ciphertext == ciphertextOf(t) && \
    at[s].signature == (t))
#define sameExchange(s, t) (owner(s) == at[t].kex && owner(t) == at[s].kex || \
    owner(s) == owner(t) && at[s].kex == at[t].kex)
/* Each opens what the other encapsulated. */
#define sameEncapsulated(s, t) (at[s].hybrid == at[t].hybrid && (!at[s].hybrid || \
    (at[s].ciphertext == (t) && at[t].ciphertext == (s) && at[s].encapsulation == (t) && at[t].encapsulation == (s))))
#ifdef STATIC_SECRET
#define sameSecret(s, t) (facing(s, t) && sameExchange(s, t))
#else
#define sameSecret(s, t) (facing(s, t) && sameExchange(s, t) && sameEncapsulated(s, t))
#endif
#ifdef UNSALTED
#define sameKeys(s, t) ((s) != (t) && at[s].stage >= awaitingReady && at[t].stage >= awaitingReady && sameSecret(s, t))
#else
#define sameKeys(s, t) ((s) != (t) && at[s].stage >= awaitingReady && at[t].stage >= awaitingReady && sameSecret(s, t) && \
    sameHellos(s, t) && gotSignature(s, t) && gotSignature(t, s))
#endif

/* What the attacker can compute: each part of the secret, then the secret. A ciphertext that was made for another key
   decapsulates to a value that nobody else knows (implicit rejection). */
#define knowsEphemeral(s) (at[s].ephemeral >= lowM)
#define knowsExchange(s) (agrees(owner(s)) || agrees(at[s].kex))
#define knowsEncapsulated(s) (!at[s].hybrid || (at[s].encapsulation == ekM && at[s].ciphertext == byM + (s)))
#ifdef STATIC_SECRET
#define knows(s) knowsExchange(s)
#define knowsAfterLeak(s) true
#define knowsWithQuantum(s) true
#else
#define knows(s) (knowsEphemeral(s) && knowsExchange(s) && knowsEncapsulated(s))
/* All long-lived keys leaked after the session was completed, and every message was recorded. */
#define knowsAfterLeak(s) (knowsEphemeral(s) && knowsEncapsulated(s))
/* Every message was recorded, and X25519 is broken later. */
#define knowsWithQuantum(s) knowsEncapsulated(s)
#endif

/* t's Ready opens at s and names the server that s expects. */
#define readyFrom(s, t) (sameKeys(s, t) && owner(t) == peer(s))
#if SESSIONS == 2
#define anyReady(s) (readyFrom(s, 0) || readyFrom(s, 1))
#else
#define anyReady(s) (readyFrom(s, 0) || readyFrom(s, 1) || readyFrom(s, 2))
#endif

#define isCompleted(s) (at[s].stage == completed)
#define agreed(s, t) (sameKeys(s, t) && owner(t) == peer(s) && peer(t) == owner(s))
#if SESSIONS == 2
#define anyAgreed(s) (agreed(s, 0) || agreed(s, 1))
#define partners(s) (sameKeys(s, 0) + sameKeys(s, 1))
#else
#define anyAgreed(s) (agreed(s, 0) || agreed(s, 1) || agreed(s, 2))
#define partners(s) (sameKeys(s, 0) + sameKeys(s, 1) + sameKeys(s, 2))
#endif

/* Whether the claims are about this session: completed, with a server that the attacker does not own. When A's keys are
   stolen, whoever has them is A to everybody; what must still hold is what A believes of B. */
#if defined(STOLEN_SIGNING_KEY) && !defined(CLAIM_ABOUT_THE_ROBBED)
#define claimed(s) (isCompleted(s) && peer(s) != M && owner(s) == A)
#else
#define claimed(s) (isCompleted(s) && peer(s) != M)
#endif

#if !defined(CLAIM_AGREEMENT) && !defined(CLAIM_SECRECY) && !defined(CLAIM_FORWARD_SECRECY) && \
    !defined(CLAIM_KEY_SHARE) && !defined(CLAIM_DIRECTIONS) && !defined(CLAIM_QUANTUM) && !defined(CLAIM_NEVER_COMPLETED)
#define CLAIM_AGREEMENT
#define CLAIM_SECRECY
#define CLAIM_FORWARD_SECRECY
#define CLAIM_KEY_SHARE
#define CLAIM_DIRECTIONS
#ifndef CLASSICAL_ONLY
#define CLAIM_QUANTUM
#endif
#endif

inline check(s, t) {
    t = 0;
    do
    :: t < SESSIONS ->
#ifdef CLAIM_KEY_SHARE
        assert(!sameKeys(s, t) || (peer(s) == owner(t) && peer(t) == owner(s)));
#endif
#ifdef CLAIM_DIRECTIONS
#ifdef ONE_KEY
        assert(!sameKeys(s, t));
#else
        assert(!sameKeys(s, t) || isLow(s) != isLow(t));
#endif
#endif
        t++
    :: else -> break
    od;
    t = 0;
#ifdef CLAIM_SECRECY
    assert(!claimed(s) || !knows(s));
#endif
#ifdef CLAIM_FORWARD_SECRECY
    assert(!claimed(s) || !knowsAfterLeak(s));
#endif
#ifdef CLAIM_QUANTUM
    assert(!claimed(s) || !knowsWithQuantum(s));
#endif
#ifdef CLAIM_AGREEMENT
    assert(!claimed(s) || (anyAgreed(s) && partners(s) == 1));
#endif
#ifdef CLAIM_NEVER_COMPLETED
    assert(!claimed(0) || !claimed(1));
#endif
}

inline anyKex(s) {
    if
    :: owner(s) != A -> at[s].kex = A
    :: owner(s) != B -> at[s].kex = B
    :: at[s].kex = M
    fi
}

inline anyCiphertext(s) {
    if
    :: !at[s].hybrid -> at[s].ciphertext = NO_CIPHERTEXT
    :: at[s].hybrid && at[0].stage >= awaitingSignature && at[0].hybrid -> at[s].ciphertext = 0
    :: at[s].hybrid && at[1].stage >= awaitingSignature && at[1].hybrid -> at[s].ciphertext = 1
#if SESSIONS == 3
    :: at[s].hybrid && at[2].stage >= awaitingSignature && at[2].hybrid -> at[s].ciphertext = 2
    :: at[s].hybrid -> at[s].ciphertext = byM + 2
#endif
    :: at[s].hybrid -> at[s].ciphertext = byM + 0
    :: at[s].hybrid -> at[s].ciphertext = byM + 1
    :: at[s].hybrid -> at[s].ciphertext = byM + ekM
    fi
}

proctype Server(byte s) {
    byte t = 0;
    /* Hello, made of anything. What is refused is left out. */
    atomic {
        at[s].stage == awaitingHello;
        if
        :: at[s].expects != M -> at[s].id = 1 - owner(s)
#ifndef NO_INSIDER
        :: at[s].expects != 1 - owner(s) -> at[s].id = M
#endif
        fi;
        if
        :: at[s].meant = NOBODY
        :: at[s].meant = owner(s)
        fi;
        if
        :: s != 0 -> at[s].ephemeral = 0
        :: s != 1 -> at[s].ephemeral = 1
#if SESSIONS == 3
        :: s != 2 -> at[s].ephemeral = 2
#endif
        :: at[s].ephemeral = lowM
        :: at[s].ephemeral = highM
        fi;
#ifndef CLASSICAL_ONLY
        if
        :: at[s].encapsulation = 0
        :: at[s].encapsulation = 1
#if SESSIONS == 3
        :: at[s].encapsulation = 2
#endif
        :: at[s].encapsulation = ekM
        fi;
        if
        :: at[s].hybrid = 0
        :: at[s].hybrid = 1
        fi;
#endif
        at[s].stage = awaitingSignature
    }
    /* Signature: an honest one with what it does not cover put anew, or one of the attacker's own. */
    atomic {
        if
        :: verifies(s, 0) -> at[s].signature = 0
        :: verifies(s, 1) -> at[s].signature = 1
#if SESSIONS == 3
        :: verifies(s, 2) -> at[s].signature = 2
#endif
        :: signs(A) && trusts(s, A) && owner(s) != A -> at[s].signature = bySignM; at[s].signer = A
        :: signs(M) && trusts(s, M) -> at[s].signature = bySignM; at[s].signer = M
        fi;
        if
        :: at[s].signature == bySignM -> anyKex(s); anyCiphertext(s)
        :: else ->
            t = at[s].signature;
            at[s].signer = owner(t);
#ifdef UNSIGNED_KEX
            anyKex(s);
#else
            at[s].kex = owner(t);
#endif
#ifdef UNSIGNED_CIPHERTEXT
            anyCiphertext(s);
#else
            at[s].ciphertext = ciphertextOf(t);
#endif
            t = 0
        fi;
#ifdef KEX_PINNED
        if
        :: at[s].kex == at[s].signer -> at[s].stage = awaitingReady
        :: else -> goto refused
        fi;
#else
        at[s].stage = awaitingReady;
#endif
        check(s, t)
    }
    /* Ready: the peer's, or one that the attacker can seal. */
    atomic {
#ifdef TRUSTED_WITHOUT_READY
        true;
#else
        knows(s) || anyReady(s);
#endif
        at[s].stage = completed;
        check(s, t)
    }
refused:
    skip
}

inline dials(s) {
    if
    :: at[s].expects = NOBODY
    :: at[s].expects = 1 - owner(s)
#ifndef NO_INSIDER
    :: at[s].expects = M
#endif
    fi
}

init {
    atomic {
        dials(0);
        dials(1);
#if SESSIONS == 3
        dials(2);
        if
        :: rank[0] = 0; rank[1] = 1; rank[2] = 2
        :: rank[0] = 1; rank[1] = 0; rank[2] = 2
        :: rank[0] = 2; rank[1] = 0; rank[2] = 1
        fi;
        run Server(2);
#else
        rank[1] = 1;
#endif
        run Server(0);
        run Server(1)
    }
}
