"""Signed documents: compact JWS with EdDSA (PROTOCOL.md, "Signed documents")."""

import base64
import binascii
import json
from typing import Any

from . import ed25519
from .identity import Identity

DOCUMENT_BYTES = 16_384
CARD = "aether-card+jwt"
SESSION = "aether-session+jwt"
RECEIPT = "aether-receipt+jwt"
CARD_LIFETIME_SECONDS = 3600
TOKEN_LIFETIME_SECONDS = 60
LEEWAY_SECONDS = 30


class Invalid(Exception):
    """A document that is not what it should be, with why."""


def sign(identity: Identity, typ: str, members: dict[str, Any]) -> str:
    header = {"alg": "EdDSA", "kid": identity.signing_key.hex(), "typ": typ}
    signed = f"{_part(header)}.{_part(members)}"
    return f"{signed}.{_base64(identity.sign(signed.encode()))}"


def verify(document: str, typ: str, key: bytes | None = None) -> dict[str, Any]:
    """The members, when `key` signed the document; without a key, when the key in its own `kid` did."""
    if len(document) > DOCUMENT_BYTES:
        raise Invalid("longer than 16384 bytes")
    parts = document.split(".")
    if len(parts) != 3:
        raise Invalid("not three parts")
    header = _object(parts[0])
    if sorted(header) != ["alg", "kid", "typ"] or header["alg"] != "EdDSA":
        raise Invalid("another header than alg EdDSA, kid and typ")
    if header["typ"] != typ:
        raise Invalid(f"a document of type '{header['typ']}', not '{typ}'")
    try:
        signer = bytes.fromhex(header["kid"])
    except (TypeError, ValueError) as error:
        raise Invalid("kid is no key") from error
    if signer.hex() != header["kid"] or (key is not None and signer != key):
        raise Invalid("signed by another key")
    if not ed25519.verify(signer, _bytes(parts[2]), f"{parts[0]}.{parts[1]}".encode()):
        raise Invalid("the signature does not verify")
    return _object(parts[1])


def card(identity: Identity, endpoint: str, now: int, name: str = "", worlds: tuple[str, ...] = ()) -> str:
    """What a server says of itself. The sequence is the second of issue: a later card replaces an earlier one."""
    members = {
        "iss": identity.server_id,
        "name": name or identity.server_id,
        "endpoint": endpoint,
        "key": identity.signing_key.hex(),
        "seq": now,
        "min_version": 1,
        "max_version": 1,
        "worlds": sorted(worlds),
        "iat": now,
        "exp": now + CARD_LIFETIME_SECONDS,
    }
    return sign(identity, CARD, members)


def flattened(document: str) -> str:
    """The same document as flattened JSON (RFC 7515 section 7.2.2)."""
    protected, payload, signature = document.split(".")
    return json.dumps({"payload": payload, "protected": protected, "signature": signature}, separators=(",", ":"))


def confirmation(key: bytes) -> dict[str, Any]:
    """The member `cnf` for an Ed25519 key (RFC 7800 section 3.2)."""
    return {"jwk": {"crv": "Ed25519", "kty": "OKP", "x": _base64(key)}}


def require_time(members: dict[str, Any], now: int) -> None:
    if members.get("nbf", now) > now + LEEWAY_SECONDS:
        raise Invalid("not yet valid")
    if members["exp"] <= now - LEEWAY_SECONDS or members["exp"] - members["iat"] > TOKEN_LIFETIME_SECONDS:
        raise Invalid("expired, or valid for too long")


def _part(members: dict[str, Any]) -> str:
    return _base64(json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("not base64url") from error
    if _base64(content) != text:
        raise Invalid("not base64url without padding")
    return content


def _object(part: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise Invalid("a key stands twice")
        return dict(pairs)

    try:
        value = json.loads(_bytes(part).decode(), object_pairs_hook=once)
    except ValueError as error:
        raise Invalid("not JSON") from error
    if not isinstance(value, dict):
        raise Invalid("not a JSON object")
    return value
