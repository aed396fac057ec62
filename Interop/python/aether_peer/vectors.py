"""Reproduces the project's vectors (Tests/Vectors/README.md) and gives every value on the way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .handshake import Completed, Ephemeral, Handshake
from .identity import Identity
from .messages import Hello
from .records import FRAME, Opener, Sealer

EXPORT_LABEL = "test"
# What every vector holds (Tests/Vectors/README.md).
MEMBERS = {
    *("suite", "dialler", "acceptor", "dialler_is_low", "hello_hash", "transcript", "secret", "exporter", "export_test"),
    *(f"{role}_{message}" for role in ("dialler", "acceptor") for message in ("hello", "signature")),
    *(f"{direction}{part}" for direction in ("low_to_high", "high_to_low") for part in ("", "_key", "_iv", "_next_key", "_next_iv")),
}


class Mismatch(Exception):
    """A value that came out differently."""


def check_file(path: Path) -> Iterator[dict[str, Any]]:
    """One dictionary of hexadecimal intermediate values for each vector; raises where one differs or is not in the file."""
    for vector in json.loads(path.read_text())["vectors"]:
        yield check(vector)


def check(vector: dict[str, Any]) -> dict[str, Any]:
    missing = MEMBERS - vector.keys()
    if missing:
        raise Mismatch(f"the vector lacks {', '.join(sorted(missing))}")
    parties = {role: _party(vector, role) for role in ("dialler", "acceptor")}
    dialler, acceptor = parties["dialler"], parties["acceptor"]
    for role, party in parties.items():
        _same(f"{role}_hello", party.hello_bytes, vector[f"{role}_hello"])
    for role, party, other in (("dialler", dialler, acceptor), ("acceptor", acceptor, dialler)):
        signature = party.receive_hello(other.hello_bytes, other.hello.timestamp)
        _same(f"{role}_signature", signature, vector[f"{role}_signature"])
    ends = dialler.receive_signature(acceptor.signature_bytes), acceptor.receive_signature(dialler.signature_bytes)
    done = ends[0]
    for name in ("hello_hash", "transcript", "secret", "keys"):
        if getattr(done, name) != getattr(ends[1], name):
            raise Mismatch(f"{name}: the two ends differ")
    _equal("dialler_is_low", dialler.is_low, vector["dialler_is_low"])
    values = _values(done)
    for name, value in values.items():
        _equal(name, value, vector[name])
    for direction in ("low_to_high", "high_to_low"):
        values[f"{direction}_frames"] = _check_records(done, direction, vector[direction])
    return values


def _party(vector: dict[str, Any], role: str) -> Handshake:
    """A side of the handshake from its seeds; id, suites, time and expected peer stand in its Hello."""
    own, other = vector[role], vector["acceptor" if role == "dialler" else "dialler"]
    hello = Hello.decode(bytes.fromhex(vector[f"{role}_hello"]))
    peer = Identity(other["id"], bytes.fromhex(other["seed"]))

    def carried(key: bytes) -> tuple[bytes, bytes]:
        return bytes.fromhex(own["kem_secret"]), bytes.fromhex(own["kem_ciphertext"])

    return Handshake(
        Identity(own["id"], bytes.fromhex(own["seed"])),
        {peer.server_id: peer.signing_key},
        hello.timestamp,
        expected=hello.expected_peer,
        suites=hello.suites,
        ephemeral=Ephemeral.from_seeds(bytes.fromhex(own["x25519_seed"]), bytes.fromhex(own["mlkem_seed"])),
        encapsulate=carried,
    )


def _check_records(done: Completed, direction: str, records: list[str]) -> list[str]:
    """Opens each record and seals its content again; the frames in hexadecimal, or "key change"."""
    key = getattr(done.keys, direction)
    opener, sealer = Opener(done.suite, key), Sealer(done.suite, key)
    frames = []
    for index, record in enumerate(records):
        frame = opener.open(bytes.fromhex(record))
        again = sealer.key_change() if frame is None else sealer.seal(FRAME + frame)
        _same(f"{direction}[{index}]", again, record)
        frames.append("key change" if frame is None else frame.hex())
    return frames


def _values(done: Completed) -> dict[str, Any]:
    keys = done.keys
    return {
        "suite": done.suite.number,
        "hello_hash": done.hello_hash.hex(),
        "transcript": done.transcript.hex(),
        "secret": done.secret.hex(),
        "low_to_high_key": keys.low_to_high.key.hex(),
        "low_to_high_iv": keys.low_to_high.iv.hex(),
        "high_to_low_key": keys.high_to_low.key.hex(),
        "high_to_low_iv": keys.high_to_low.iv.hex(),
        "low_to_high_next_key": keys.low_to_high.changed().key.hex(),
        "low_to_high_next_iv": keys.low_to_high.changed().iv.hex(),
        "high_to_low_next_key": keys.high_to_low.changed().key.hex(),
        "high_to_low_next_iv": keys.high_to_low.changed().iv.hex(),
        "exporter": keys.exporter.hex(),
        "export_test": keys.export(EXPORT_LABEL).hex(),
    }


def _equal(name: str, computed: object, expected: object) -> None:
    if computed != expected:
        raise Mismatch(f"{name}: computed {str(computed)[:64]}, the file says {str(expected)[:64]}")


def _same(name: str, computed: bytes, expected: str) -> None:
    if computed.hex() != expected:
        raise Mismatch(f"{name}: computed {computed.hex()[:64]}, the file says {expected[:64]}")
