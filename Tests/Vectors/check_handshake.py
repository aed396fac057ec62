#!/usr/bin/env python3
"""Computes every value of handshake.json from its seeds, as PROTOCOL.md says. Exit code 1 when one differs."""

import hashlib
import json
import pathlib
import struct
import sys

try:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import mlkem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError:
    print("needs the Python package cryptography, 48 or later: pip install 'cryptography>=48'")
    sys.exit(2)

TIMESTAMP = 1_800_000_000_000


def field(data):
    return struct.pack(">H", len(data)) + data


def label(text):
    return field(text.encode())


def hkdf(secret, info, length, salt=b""):
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


class Server:
    """One side, from its seeds."""

    def __init__(self, side, suite):
        self.id = side["id"].encode()
        seed = bytes.fromhex(side["seed"])
        self.signing = Ed25519PrivateKey.from_private_bytes(seed)
        self.exchange = X25519PrivateKey.from_private_bytes(
            hkdf(seed, b"aether-federation v1 identity key exchange", 32)
        )
        self.ephemeral = X25519PrivateKey.from_private_bytes(bytes.fromhex(side["x25519_seed"]))
        self.hybrid = suite < 0x100
        self.kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(side["mlkem_seed"]))
        self.suite = suite
        self.ciphertext = bytes.fromhex(side["kem_ciphertext"])

    def hello(self, expected):
        encapsulation = self.kem.public_key().public_bytes_raw() if self.hybrid else b""
        return (
            bytes([1])
            + struct.pack(">HH", 1, 1)
            + field(self.id)
            + field(expected)
            + struct.pack(">q", TIMESTAMP)
            + field(struct.pack(">H", self.suite))
            + field(self.ephemeral.public_key().public_bytes_raw())
            + field(encapsulation)
        )

    def signature(self, role, hello_hash):
        key = self.signing.public_key().public_bytes_raw()
        exchange = self.exchange.public_key().public_bytes_raw()
        signed = (
            label("aether-federation v1 handshake")
            + field(role)
            + field(hello_hash)
            + field(self.id)
            + field(key)
            + field(exchange)
            + field(self.ciphertext)
        )
        return bytes([2]) + field(key) + field(exchange) + field(self.ciphertext) + field(self.signing.sign(signed))


class Direction:
    """The keys of one direction."""

    def __init__(self, suite, key, iv):
        self.aead = AESGCM if suite & 0xFF == 1 else ChaCha20Poly1305
        self.key, self.iv, self.counter = key, iv, 0

    def seal(self, plaintext):
        nonce = self.iv[:4] + bytes(a ^ b for a, b in zip(self.iv[4:], struct.pack(">Q", self.counter)))
        self.counter += 1
        return self.aead(self.key).encrypt(nonce, plaintext, None)

    def advance(self):
        material = self.key + self.iv
        self.key = hkdf(material, b"aether-federation v1 rekey key", 32)
        self.iv = hkdf(material, b"aether-federation v1 rekey iv", 12)
        self.counter = 0


def compute(vector):
    suite = vector["suite"]
    sides = [Server(vector[name], suite) for name in ("dialler", "acceptor")]
    hellos = [sides[0].hello(sides[1].id), sides[1].hello(b"")]
    publics = [side.ephemeral.public_key().public_bytes_raw() for side in sides]
    low, high = (0, 1) if publics[0] < publics[1] else (1, 0)
    hello_hash = hashlib.sha256(
        label("aether-federation v1 hello") + field(hellos[low]) + field(hellos[high])
    ).digest()
    signatures = [side.signature(b"low" if i == low else b"high", hello_hash) for i, side in enumerate(sides)]
    transcript = hashlib.sha256(
        label("aether-federation v1 transcript") + field(hello_hash) + field(signatures[low]) + field(signatures[high])
    ).digest()
    secret = sides[0].ephemeral.exchange(X25519PublicKey.from_public_bytes(publics[1]))
    secret += sides[0].exchange.exchange(sides[1].exchange.public_key())
    if suite < 0x100:
        # What low encapsulated is found with high's private key, and the other way round.
        secret += sides[high].kem.decapsulate(sides[low].ciphertext)
        secret += sides[low].kem.decapsulate(sides[high].ciphertext)

    def key(text, length):
        return hkdf(secret, ("aether-federation v1 " + text).encode(), length, salt=transcript)

    exporter = key("exporter", 32)
    records, changed = {}, {}
    for name in ("low-to-high", "high-to-low"):
        direction = Direction(suite, key(name + " key", 32), key(name + " iv", 12))
        sealed = [direction.seal(b"\x00first"), direction.seal(b"\x00second"), direction.seal(b"\x01")]
        direction.advance()
        changed[name] = direction
        records[name] = [record.hex() for record in sealed + [direction.seal(b"\x00third")]]
    return {
        "dialler_hello": hellos[0].hex(),
        "acceptor_hello": hellos[1].hex(),
        "dialler_is_low": low == 0,
        "hello_hash": hello_hash.hex(),
        "dialler_signature": signatures[0].hex(),
        "acceptor_signature": signatures[1].hex(),
        "transcript": transcript.hex(),
        "export_test": hkdf(exporter, label("aether-federation v1 export") + label("test"), 32).hex(),
        "low_to_high_next_key": changed["low-to-high"].key.hex(),
        "low_to_high_next_iv": changed["low-to-high"].iv.hex(),
        "high_to_low_next_key": changed["high-to-low"].key.hex(),
        "high_to_low_next_iv": changed["high-to-low"].iv.hex(),
        "low_to_high": records["low-to-high"],
        "high_to_low": records["high-to-low"],
    }


def main():
    path = pathlib.Path(__file__).parent / "handshake.json"
    wrong = 0
    for vector in json.loads(path.read_text())["vectors"]:
        for name, value in compute(vector).items():
            if vector[name] != value:
                wrong += 1
                print(f"suite {vector['suite']:#06x}: {name} differs: {value} here, {vector[name]} in the file")
    print("all values agree" if wrong == 0 else f"{wrong} values differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
