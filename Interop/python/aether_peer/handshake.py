"""The handshake as a machine without sockets: messages in, messages and keys out (PROTOCOL.md, "Handshake").

It awaits Hello, then Signature; the caller opens Ready, the first record, and compares its server id.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from . import ed25519
from .closing import ChannelFailure, CloseCode
from .encoding import field
from .identity import Identity
from .keys import ChannelKeys, DirectionKey, agree
from .messages import Hello, Signature
from .suites import HYBRID, SUITES, Suite, choose

Value = TypeVar("Value")

CLOCK_SKEW_MS = 300_000

# Encapsulation draws randomness that `cryptography` does not let a caller choose: vectors put their own here.
Encapsulate = Callable[[bytes], tuple[bytes, bytes]]


def encapsulate(key: bytes) -> tuple[bytes, bytes]:
    """The secret z and the ciphertext that carries it to the key's owner."""
    try:
        return MLKEM768PublicKey.from_public_bytes(key).encapsulate()
    except ValueError as error:
        raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "an encapsulation key that is none") from error


@dataclass(frozen=True)
class Ephemeral:
    """Keys for one handshake and no other."""

    exchange: X25519PrivateKey
    kem: MLKEM768PrivateKey

    @classmethod
    def from_seeds(cls, exchange: bytes, kem: bytes) -> "Ephemeral":
        return cls(X25519PrivateKey.from_private_bytes(exchange), MLKEM768PrivateKey.from_seed_bytes(kem))

    @classmethod
    def fresh(cls) -> "Ephemeral":
        return cls.from_seeds(os.urandom(32), os.urandom(64))


@dataclass(frozen=True)
class Completed:
    """What both Signatures lead to. Trust begins only when the peer's Ready has been opened."""

    peer: str
    peer_key: bytes
    suite: Suite
    is_low: bool
    hello_hash: bytes
    transcript: bytes
    secret: bytes
    keys: ChannelKeys

    @property
    def outbound(self) -> DirectionKey:
        return self.keys.low_to_high if self.is_low else self.keys.high_to_low

    @property
    def inbound(self) -> DirectionKey:
        return self.keys.high_to_low if self.is_low else self.keys.low_to_high


class Handshake:
    def __init__(
        self,
        identity: Identity,
        pins: Mapping[str, bytes],
        now_ms: int,
        expected: str = "",
        suites: Sequence[int] = HYBRID,
        ephemeral: Ephemeral | None = None,
        encapsulate: Encapsulate = encapsulate,
    ) -> None:
        self.identity = identity
        self._pins = pins
        self._expected = expected
        self._ephemeral = ephemeral or Ephemeral.fresh()
        self._encapsulate = encapsulate
        self.hello = Hello(
            server_id=identity.server_id,
            expected_peer=expected,
            timestamp=now_ms,
            suites=tuple(suites),
            ephemeral_key=self._ephemeral.exchange.public_key().public_bytes_raw(),
            encapsulation_key=self._encapsulation_key(suites),
        )
        self.hello_bytes = self.hello.encoded()

    def receive_hello(self, content: bytes, now_ms: int) -> bytes:
        """Checks the peer's Hello and returns one's own Signature."""
        peer = Hello.decode(content)
        self._check(peer, now_ms)
        self.peer = peer
        self.is_low = self.hello.ephemeral_key < peer.ephemeral_key
        low, high = self._ordered((self.hello, self.hello_bytes), (peer, content))
        self.suite = choose(low[0].suites, high[0].suites)
        self.hello_hash = hashlib.sha256(
            field("aether-federation v1 hello") + field(low[1]) + field(high[1])
        ).digest()
        self.own_z, ciphertext = b"", b""
        if self.suite.hybrid:
            if not peer.encapsulation_key:
                raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "a hybrid suite without an encapsulation key")
            self.own_z, ciphertext = self._encapsulate(peer.encapsulation_key)
        self.signature_bytes = self._signature(ciphertext).encoded()
        return self.signature_bytes

    def receive_signature(self, content: bytes) -> Completed:
        """Checks the peer's Signature and derives the channel's keys."""
        message = Signature.decode(content, self.suite.hybrid)
        if message.signing_key == self.identity.signing_key or message.kex_key == self.identity.exchange_key:
            raise ChannelFailure(CloseCode.REFLECTED, "one's own key came back")
        if not ed25519.is_sound_point(message.signing_key):
            raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "a signing key that is none")
        signed = message.signed(self._role(not self.is_low), self.hello_hash, self.peer.server_id)
        if not ed25519.verify(message.signing_key, message.signature, signed):
            raise ChannelFailure(CloseCode.INVALID_SIGNATURE, "the signature does not verify")
        if message.signing_key != self._pins[self.peer.server_id]:
            raise ChannelFailure(CloseCode.WRONG_KEY, f"the key is not the one bound to '{self.peer.server_id}'")
        return self._complete(message, content)

    def _check(self, peer: Hello, now_ms: int) -> None:
        own = self.identity.server_id
        if peer.server_id == own or peer.ephemeral_key == self.hello.ephemeral_key:
            raise ChannelFailure(CloseCode.REFLECTED, "one's own id or key came back")
        if self._expected and peer.server_id != self._expected:
            raise ChannelFailure(CloseCode.WRONG_PEER, f"'{peer.server_id}' answered for '{self._expected}'")
        if peer.expected_peer not in ("", own):
            raise ChannelFailure(CloseCode.WRONG_PEER, f"the peer wants '{peer.expected_peer}'")
        if abs(peer.timestamp - now_ms) > CLOCK_SKEW_MS:
            raise ChannelFailure(CloseCode.CLOCK_SKEW, "the clocks differ by more than 300 s")
        if peer.server_id not in self._pins:
            raise ChannelFailure(CloseCode.UNTRUSTED_PEER, f"'{peer.server_id}' is not known here")

    def _signature(self, ciphertext: bytes) -> Signature:
        unsigned = Signature(self.identity.signing_key, self.identity.exchange_key, ciphertext, b"")
        signed = unsigned.signed(self._role(self.is_low), self.hello_hash, self.identity.server_id)
        return Signature(unsigned.signing_key, unsigned.kex_key, ciphertext, self.identity.sign(signed))

    def _complete(self, message: Signature, content: bytes) -> Completed:
        peer_z = self._ephemeral.kem.decapsulate(message.kem_ciphertext) if self.suite.hybrid else b""
        signatures = b"".join(field(part) for part in self._ordered(self.signature_bytes, content))
        transcript = hashlib.sha256(
            field("aether-federation v1 transcript") + field(self.hello_hash) + signatures
        ).digest()
        secret = b"".join(
            (
                agree(self._ephemeral.exchange, self.peer.ephemeral_key),
                agree(self.identity.exchange, message.kex_key),
                *self._ordered(self.own_z, peer_z),
            )
        )
        return Completed(
            peer=self.peer.server_id,
            peer_key=message.signing_key,
            suite=self.suite,
            is_low=self.is_low,
            hello_hash=self.hello_hash,
            transcript=transcript,
            secret=secret,
            keys=ChannelKeys.derive(transcript, secret),
        )

    def _encapsulation_key(self, suites: Sequence[int]) -> bytes:
        if not any(SUITES[number].hybrid for number in suites if number in SUITES):
            return b""
        return self._ephemeral.kem.public_key().public_bytes_raw()

    def _ordered(self, own: Value, other: Value) -> tuple[Value, Value]:
        return (own, other) if self.is_low else (other, own)

    @staticmethod
    def _role(is_low: bool) -> str:
        return "low" if is_low else "high"
