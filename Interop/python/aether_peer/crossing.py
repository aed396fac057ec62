"""A crossing seen from either end, kept in memory (PROTOCOL.md, "Crossing a portal").

A real server makes each state durable before it says what follows from it; this one only shows the messages.
"""

import hashlib
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import statements
from .encoding import field as binary_field
from .identity import Identity
from .worlds import Library


@dataclass
class Arrival:
    """A player on the way here."""

    token: str
    members: dict[str, Any]
    snapshot: bytes
    receipt: str = ""


@dataclass
class Departure:
    """A player on the way from here: prepared, then committed or aborted, then completed."""

    player: str
    world: str
    snapshot: bytes
    epoch: int = 1
    portal: str = "gate"
    # The player's client must then prove that it holds the private key.
    client_key: bytes | None = None
    # Which of this server's decisions towards the destination it is; None while nothing is decided.
    decision: int | None = None
    state: str = "prepared"
    handoff_id: bytes = field(default_factory=lambda: os.urandom(16))

    def token(self, identity: Identity, audience: str, now: int) -> str:
        members = {
            "iss": identity.server_id,
            "sub": self.player,
            "aud": audience,
            "jti": self.handoff_id.hex(),
            "iat": now,
            "nbf": now,
            "exp": now + statements.TOKEN_LIFETIME_SECONDS,
            "world": self.world,
            "portal": self.portal,
            "epoch": self.epoch,
            "snapshot": hashlib.sha256(self.snapshot).hexdigest(),
            "size": len(self.snapshot),
            "rev": 1,
        }
        if self.decision is not None:
            members["dec"] = self.decision
        if self.client_key is not None:
            members["cnf"] = statements.confirmation(self.client_key)
        return statements.sign(identity, statements.SESSION, members)

    def complete(self, receipt: str, peer: str, peer_key: bytes) -> None:
        members = statements.verify(receipt, statements.RECEIPT, peer_key)
        expected = {"iss": peer, "jti": self.handoff_id.hex(), "sub": self.player, "epoch": self.epoch}
        if any(members.get(name) != value for name, value in expected.items()):
            raise statements.Invalid("a receipt for another crossing")
        self.state = "completed"


def client_proof(key: Ed25519PrivateKey, challenge: bytes, handoff_id: bytes) -> str:
    """What a player's client shows where the token has `cnf` (PROTOCOL.md, "Signed documents"), in hex."""
    signed = ("aether-federation v1 client proof", challenge, handoff_id)
    return key.sign(b"".join(binary_field(part) for part in signed)).hex()


class Crossings:
    def __init__(self, identity: Identity, library: Library) -> None:
        self._identity = identity
        self._library = library
        self.arrivals: dict[bytes, Arrival] = {}
        self.departures: dict[bytes, Departure] = {}
        # Decisions towards each peer.
        self.decided: dict[str, int] = {}

    def decide(self, departure: Departure, peer: str) -> None:
        """The decision, with its number; from now on the player belongs to the destination."""
        if departure.decision is None:
            self.decided[peer] = self.decided.get(peer, 0) + 1
            departure.decision = self.decided[peer]
        departure.state = "committed"

    def offer(self, values: dict[str, Any], peer: str, key: bytes, now: int) -> tuple[str, dict[str, Any]]:
        handoff_id = values["handoff_id"]
        try:
            members = self._verified(values["token"], handoff_id, peer, key, now)
        except (statements.Invalid, KeyError, TypeError) as error:
            return "reject", {"handoff_id": handoff_id, "code": "token.invalid", "reason": str(error)[:128]}
        if hashlib.sha256(values["snapshot"]).hexdigest() != members["snapshot"]:
            return "reject", {"handoff_id": handoff_id, "code": "snapshot.hashMismatch"}
        if members["world"] not in self._library.worlds:
            return "reject", {"handoff_id": handoff_id, "code": "world.unknown"}
        self.arrivals.setdefault(handoff_id, Arrival(values["token"], members, values["snapshot"]))
        return "accept", {"handoff_id": handoff_id}

    def commit(self, values: dict[str, Any], peer: str, key: bytes, now: int) -> tuple[str, dict[str, Any]]:
        handoff_id = values["handoff_id"]
        arrival = self.arrivals.get(handoff_id)
        try:
            if self._verified(values["token"], handoff_id, peer, key, now).get("dec", 0) < 1:
                raise statements.Invalid("the token decides nothing")
        except (statements.Invalid, KeyError, TypeError) as error:
            return "reject", {"handoff_id": handoff_id, "code": "token.invalid", "reason": str(error)[:128]}
        if arrival is None:
            return "reject", {"handoff_id": handoff_id, "code": "handoff.unknown"}
        arrival.receipt = arrival.receipt or statements.sign(
            self._identity,
            statements.RECEIPT,
            {
                "iss": self._identity.server_id,
                "aud": peer,
                "jti": handoff_id.hex(),
                "sub": arrival.members["sub"],
                "epoch": arrival.members["epoch"],
                "iat": now,
            },
        )
        return "admitted", {"handoff_id": handoff_id, "receipt": arrival.receipt}

    def abort(self, values: dict[str, Any]) -> None:
        """A reservation is forgotten; a player who is here stays."""
        arrival = self.arrivals.get(values["handoff_id"])
        if arrival is not None and not arrival.receipt:
            del self.arrivals[values["handoff_id"]]

    def query(self, values: dict[str, Any], peer: str, now: int) -> tuple[str, dict[str, Any]]:
        departure = self.departures.get(values["handoff_id"])
        verdict: dict[str, Any] = {"aborted": {}}
        if departure is not None and departure.state == "prepared":
            verdict = {"undecided": {}}
        elif departure is not None and departure.state in ("committed", "completed"):
            verdict = {"committed": departure.token(self._identity, peer, now)}
        return "verdict", {"handoff_id": values["handoff_id"], **verdict}

    def _verified(self, token: str, handoff_id: bytes, peer: str, key: bytes, now: int) -> dict[str, Any]:
        members = statements.verify(token, statements.SESSION, key)
        if members["iss"] != peer or members["aud"] != self._identity.server_id:
            raise statements.Invalid("another issuer or audience")
        statements.require_time(members, now)
        if members["jti"] != handoff_id.hex():
            raise statements.Invalid("for another handoff")
        return members
