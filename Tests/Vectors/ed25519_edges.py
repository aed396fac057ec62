"""Makes ed25519_edges.json: signatures on which implementations of Ed25519 are known to disagree.

The classes are those of Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs" (https://ia.cr/2020/1244), section 5;
the values are made here, with plain arithmetic on the curve of RFC 8032 section 5.1. Slow, and not for real keys.
"""

import hashlib
import json
import pathlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
ZERO = (0, 1)


def add(one, other):
    (x1, y1), (x2, y2) = one, other
    cross = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + cross, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - cross, -1, P) % P,
    )


def times(scalar, point):
    result = ZERO
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def negative(point):
    return (-point[0] % P, point[1])


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def lift(y):
    """A point with this y, or None (RFC 8032 section 5.1.3)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    return (x, y) if x * x % P == square else None


BASE = lift(4 * pow(5, -1, P) % P)
BASE = BASE if BASE[0] % 2 == 0 else negative(BASE)


def order_eight():
    """A generator of the small subgroup: L times any point, until its order is 8."""
    for y in range(2, 1000):
        point = lift(y)
        small = times(L, point) if point else ZERO
        if times(4, small) != ZERO:
            return small


SMALL = order_eight()
SECRET, NONCE = (int.from_bytes(hashlib.sha512(name).digest(), "little") % L for name in (b"a", b"r"))


def challenge(r, a, message):
    return int.from_bytes(hashlib.sha512(r + a + message).digest(), "little") % L


def messages():
    for number in range(10_000):
        yield b"edge %d" % number


def holds(s, r, k, a):
    """The equation without the cofactor: S B = R + k A."""
    return times(s % L, BASE) == add(r, times(k, a))


def search(a, r, s_of, want=True, a_bytes=None, r_bytes=None, a_hashed=None, r_hashed=None, shift=0):
    """The first message under which the equation holds (or does not, with `want` false)."""
    a_bytes, r_bytes = a_bytes or encode(a), r_bytes or encode(r)
    for message in messages():
        k = challenge(r_hashed or r_bytes, a_hashed or a_bytes, message)
        s = s_of(k) % L
        # Where a reduced encoding is hashed, the bytes as they are must not do as well.
        as_is = challenge(r_bytes, a_bytes, message)
        if as_is != k and holds(s, r, as_is, a):
            continue
        if holds(s, r, k, a) == want:
            return message, a_bytes, r_bytes + (s + shift).to_bytes(32, "little")


def cases():
    mixed = add(times(SECRET, BASE), SMALL)
    plain = times(SECRET, BASE)
    large = times(NONCE, BASE)
    honest = lambda k: NONCE + k * SECRET  # noqa: E731
    high = L * ((2**256 - 1) // L - 1)
    yield "S = 0, small A, small R", False, True, search(SMALL, negative(SMALL), lambda k: 0)
    yield "small A, mixed R", False, True, search(SMALL, add(large, SMALL), lambda k: NONCE)
    yield "mixed A, small R", False, True, search(mixed, negative(SMALL), lambda k: k * SECRET)
    yield "mixed A, mixed R", True, True, search(mixed, add(large, negative(SMALL)), honest)
    yield "holds only times the cofactor", False, False, search(mixed, add(large, SMALL), honest, want=False)
    yield "S + L", False, False, search(plain, large, honest, shift=L)
    yield "S with its highest bits set", False, False, search(plain, large, honest, shift=high)
    # y = p instead of 0: a point of order 4.
    four = next(point for point in (times(2, SMALL), times(6, SMALL)) if point[0] % 2 == 0)
    strange = P.to_bytes(32, "little")
    yield "R not canonical, hashed as it is", False, False, search(
        mixed, four, lambda k: k * SECRET, r_bytes=strange)
    yield "R not canonical, hashed reduced", False, False, search(
        mixed, four, lambda k: k * SECRET, r_bytes=strange, r_hashed=encode(four))
    # x = 0 with its sign bit set: the point of order 2.
    two = (0, P - 1)
    strange = (P - 1 | 1 << 255).to_bytes(32, "little")
    yield "A not canonical, hashed as it is", False, True, search(two, large, lambda k: NONCE, a_bytes=strange)
    yield "A not canonical, hashed reduced", False, False, search(
        two, large, lambda k: NONCE, a_bytes=strange, a_hashed=encode(two))
    yield "an honest signature", True, True, search(plain, large, honest)


def main():
    edges = [
        {
            "case": name, "valid": valid, "boringssl": library, "message": message.hex(), "key": key.hex(),
            "signature": signature.hex(),
        }
        for name, valid, library, (message, key, signature) in cases()
    ]
    path = pathlib.Path(__file__).with_name("ed25519_edges.json")
    path.write_text(json.dumps({"edges": edges}, indent=1) + "\n")


main()
