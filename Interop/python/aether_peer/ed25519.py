"""Strict verification of Ed25519 signatures (PROTOCOL.md, "Conventions")."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME


def _x_squared(y: int) -> int:
    return (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME


def _small_order_ys() -> frozenset[int]:
    """The y coordinates of the eight points of small order: 1, -1, 0 (order four), and those of order eight.

    A point of order eight doubles to one whose y is 0, so its x² is -y². The curve's equation, -x² + y² = 1 + d·x²·y²,
    then says d·y⁴ + 2y² - 1 = 0, so that y² = (-1 ± √(1 + d)) / d.
    """
    root = _square_root((1 + D) % PRIME)
    found = {0, 1, PRIME - 1}
    for sign in (1, -1):
        y = _square_root((-1 + sign * root) * pow(D, -1, PRIME) % PRIME) if root is not None else None
        if y is not None:
            found |= {y, PRIME - y}
    return frozenset(found)


def _square_root(value: int) -> int | None:
    candidate = pow(value, (PRIME + 3) // 8, PRIME)
    for root in (candidate, candidate * pow(2, (PRIME - 1) // 4, PRIME) % PRIME):
        if root * root % PRIME == value % PRIME:
            return root
    return None


SMALL_ORDER_YS = _small_order_ys()


def is_sound_point(encoded: bytes) -> bool:
    """Canonically encoded, and not of small order. Whether it lies on the curve is left to the verification."""
    sign = encoded[31] >> 7
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    if len(encoded) != 32 or y >= PRIME or y in SMALL_ORDER_YS:
        return False
    return not (sign and _x_squared(y) == 0)


def verify(key: bytes, signature: bytes, signed: bytes) -> bool:
    if len(key) != 32 or len(signature) != 64:
        return False
    if not is_sound_point(key) or not is_sound_point(signature[:32]):
        return False
    if int.from_bytes(signature[32:], "little") >= ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
