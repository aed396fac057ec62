"""A server's long-lived keys (PROTOCOL.md, "Conventions")."""

import base64
import hashlib
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from .keys import hkdf

SERVER_ID = re.compile(r"(?=.{1,64}\Z)[a-z0-9]([a-z0-9._-]*[a-z0-9])?\Z")


def is_server_id(text: str) -> bool:
    return SERVER_ID.match(text) is not None and ".." not in text


class Identity:
    def __init__(self, server_id: str, seed: bytes) -> None:
        if not is_server_id(server_id):
            raise ValueError(f"'{server_id}' is not a server id: 1 to 64 of a-z, 0-9, '-', '_', '.'")
        if len(seed) != 32:
            raise ValueError("a seed has 32 bytes: 64 hexadecimal digits")
        self.server_id = server_id
        self._signing = Ed25519PrivateKey.from_private_bytes(seed)
        self.exchange = X25519PrivateKey.from_private_bytes(
            hkdf(b"", seed, "aether-federation v1 identity key exchange", 32)
        )
        self.signing_key = self._signing.public_key().public_bytes_raw()
        self.exchange_key = self.exchange.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._signing.sign(message)


def fingerprint(key: bytes) -> str:
    """Eight groups of four characters, for comparing keys aloud."""
    text = base64.b32encode(hashlib.sha256(key).digest()[:20]).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, 32, 4))
