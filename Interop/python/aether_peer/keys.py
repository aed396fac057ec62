"""HKDF, X25519 and what is derived from the handshake's secret (PROTOCOL.md, "Keys")."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .closing import ChannelFailure, CloseCode
from .encoding import field


def hkdf(salt: bytes, secret: bytes, info: bytes | str, length: int) -> bytes:
    label = info.encode() if isinstance(info, str) else info
    return HKDF(algorithm=SHA256(), length=length, salt=salt or None, info=label).derive(secret)


def agree(private: X25519PrivateKey, public: bytes) -> bytes:
    """X25519. `cryptography` refuses a result of zeros, which here is the peer's fault."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "an X25519 key of low order") from error


@dataclass(frozen=True)
class DirectionKey:
    """Key and IV of one direction."""

    key: bytes
    iv: bytes

    def changed(self) -> "DirectionKey":
        secret = self.key + self.iv
        return DirectionKey(
            hkdf(b"", secret, "aether-federation v1 rekey key", 32),
            hkdf(b"", secret, "aether-federation v1 rekey iv", 12),
        )


@dataclass(frozen=True)
class ChannelKeys:
    low_to_high: DirectionKey
    high_to_low: DirectionKey
    exporter: bytes

    @classmethod
    def derive(cls, transcript: bytes, secret: bytes) -> "ChannelKeys":
        def key(label: str, length: int) -> bytes:
            return hkdf(transcript, secret, f"aether-federation v1 {label}", length)

        return cls(
            DirectionKey(key("low-to-high key", 32), key("low-to-high iv", 12)),
            DirectionKey(key("high-to-low key", 32), key("high-to-low iv", 12)),
            key("exporter", 32),
        )

    def export(self, label: str | bytes, length: int = 32) -> bytes:
        return hkdf(b"", self.exporter, field("aether-federation v1 export") + field(label), length)
