"""Cipher suites (PROTOCOL.md, "Hello")."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from .closing import ChannelFailure, CloseCode


@dataclass(frozen=True)
class Suite:
    number: int
    name: str
    hybrid: bool
    aead: type[AESGCM] | type[ChaCha20Poly1305]


SUITES = {
    suite.number: suite
    for suite in (
        Suite(0x0001, "x25519+mlkem768/ed25519/aes256gcm/sha256", True, AESGCM),
        Suite(0x0002, "x25519+mlkem768/ed25519/chacha20poly1305/sha256", True, ChaCha20Poly1305),
        Suite(0x0101, "x25519/ed25519/aes256gcm/sha256", False, AESGCM),
        Suite(0x0102, "x25519/ed25519/chacha20poly1305/sha256", False, ChaCha20Poly1305),
    )
}
HYBRID = (0x0001, 0x0002)


def choose(low: Sequence[int], high: Sequence[int]) -> Suite:
    """The first of low's list that is also in high's. Unknown numbers are never chosen."""
    for number in low:
        if number in high and number in SUITES:
            return SUITES[number]
    raise ChannelFailure(CloseCode.NO_COMMON_SUITE, "no cipher suite in common")
