"""Hello and Signature (PROTOCOL.md, "Handshake")."""

from dataclasses import dataclass

from .closing import ChannelFailure, CloseCode
from .encoding import Reader, field
from .identity import is_server_id

VERSION = 1
MESSAGE_BYTES = 8192


@dataclass(frozen=True)
class Hello:
    server_id: str
    expected_peer: str
    timestamp: int
    suites: tuple[int, ...]
    ephemeral_key: bytes
    encapsulation_key: bytes
    version: int = VERSION
    min_compat_version: int = VERSION

    def encoded(self) -> bytes:
        return b"".join(
            (
                b"\x01",
                self.version.to_bytes(2, "big"),
                self.min_compat_version.to_bytes(2, "big"),
                field(self.server_id),
                field(self.expected_peer),
                self.timestamp.to_bytes(8, "big", signed=True),
                field(b"".join(number.to_bytes(2, "big") for number in self.suites)),
                field(self.ephemeral_key),
                field(self.encapsulation_key),
            )
        )

    @classmethod
    def decode(cls, content: bytes) -> "Hello":
        reader = _opened(content, 1)
        version, compatible = reader.number(2), reader.number(2)
        if not 1 <= compatible <= version:
            raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "min_compat_version is not within 1 to version")
        if min(version, VERSION) < max(compatible, VERSION):
            raise ChannelFailure(CloseCode.INCOMPATIBLE_VERSION, f"the peer speaks {compatible} to {version}")
        hello = cls(
            version=version,
            min_compat_version=compatible,
            server_id=_server_id(reader.field(1, 64)),
            expected_peer=_server_id(reader.field(0, 64), empty=True),
            timestamp=reader.number(8, signed=True),
            suites=_suites(reader.field(2, 32)),
            ephemeral_key=reader.field(32, 32),
            encapsulation_key=reader.field(0, 1184),
        )
        if len(hello.encapsulation_key) not in (0, 1184):
            raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "an encapsulation key of another length than 0 or 1184")
        if version == VERSION:
            reader.end()
        return hello


@dataclass(frozen=True)
class Signature:
    signing_key: bytes
    kex_key: bytes
    kem_ciphertext: bytes
    signature: bytes

    def encoded(self) -> bytes:
        return b"\x02" + b"".join(
            field(part) for part in (self.signing_key, self.kex_key, self.kem_ciphertext, self.signature)
        )

    @classmethod
    def decode(cls, content: bytes, hybrid: bool) -> "Signature":
        reader = _opened(content, 2)
        ciphertext_bytes = 1088 if hybrid else 0
        message = cls(
            signing_key=reader.field(32, 32),
            kex_key=reader.field(32, 32),
            kem_ciphertext=reader.field(ciphertext_bytes, ciphertext_bytes),
            signature=reader.field(64, 64),
        )
        reader.end()
        return message

    def signed(self, role: str, hello_hash: bytes, server_id: str) -> bytes:
        """The bytes that the signature covers."""
        parts = ("aether-federation v1 handshake", role, hello_hash, server_id, self.signing_key, self.kex_key)
        return b"".join(field(part) for part in parts) + field(self.kem_ciphertext)


def _opened(content: bytes, kind: int) -> Reader:
    if len(content) > MESSAGE_BYTES:
        raise ChannelFailure(CloseCode.OVERSIZED, f"a handshake message of {len(content)} bytes")
    reader = Reader(content)
    if reader.number(1) != kind:
        raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "a message that is not due")
    return reader


def _server_id(raw: bytes, empty: bool = False) -> str:
    text = raw.decode("ascii", errors="replace")
    if not (is_server_id(text) or (empty and not text)):
        raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "a server id that is none")
    return text


def _suites(raw: bytes) -> tuple[int, ...]:
    numbers = tuple(int.from_bytes(raw[start : start + 2], "big") for start in range(0, len(raw), 2))
    if len(raw) % 2 or len(set(numbers)) != len(numbers):
        raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "a suite list with half a number, or one that stands twice")
    return numbers
