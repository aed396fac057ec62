"""The project's vectors, and this implementation's own parts, without a server."""

import copy
import json
from pathlib import Path

import pytest
from aether_peer import ed25519, frames, protobuf, statements
from aether_peer.channel import now_ms
from aether_peer.closing import ChannelFailure, CloseCode
from aether_peer.handshake import Completed, Handshake
from aether_peer.records import FRAME, Opener, Sealer
from aether_peer.suites import SUITES
from aether_peer.vectors import Mismatch, check, check_file
from support import identity


def test_every_value_of_every_vector_is_reproduced(vectors: Path) -> None:
    suites = [values["suite"] for values in check_file(vectors)]
    assert sorted(suites) == sorted(2 * list(SUITES))
    assert {vector["dialler_is_low"] for vector in json.loads(vectors.read_text())["vectors"]} == {True, False}


def test_a_changed_vector_is_noticed(vectors: Path) -> None:
    original = json.loads(vectors.read_text())["vectors"][0]
    for name, value in original.items():
        changed = copy.deepcopy(original)
        match value:
            case bool():
                changed[name] = not value
            case int():
                changed[name] = value + 1
            case str():
                changed[name] = value[:-1] + ("0" if value[-1] != "0" else "1")
            case list():
                changed[name] = value[::-1]
            case dict():
                changed[name]["x25519_seed"] = "00" * 32
        with pytest.raises((Mismatch, ChannelFailure)):
            check(changed)
        del changed[name]
        with pytest.raises(Mismatch):
            check(changed)


def pair(suites: tuple[int, ...]) -> tuple[Completed, Completed]:
    one, other = identity(), identity()
    pins = {each.server_id: each.signing_key for each in (one, other)}
    machines = [Handshake(each, pins, now_ms(), suites=suites) for each in (one, other)]
    for machine, peer in (machines, machines[::-1]):
        machine.receive_hello(peer.hello_bytes, now_ms())
    first, second = machines
    return first.receive_signature(second.signature_bytes), second.receive_signature(first.signature_bytes)


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_both_ends_agree_and_each_direction_has_its_own_key(suite: int) -> None:
    one, other = pair((suite,))
    assert one.outbound == other.inbound and one.inbound == other.outbound
    assert one.outbound.key != one.inbound.key
    sealer, opener = Sealer(one.suite, one.outbound), Opener(other.suite, other.inbound)
    assert opener.open(sealer.seal(FRAME + b"before")) == b"before"
    assert opener.open(sealer.key_change()) is None
    assert opener.open(sealer.seal(FRAME + b"after")) == b"after"


@pytest.mark.parametrize("attack", ["replay", "drop", "reorder", "flip", "truncate"])
def test_records_out_of_order_or_altered_do_not_open(attack: str) -> None:
    one, other = pair((1,))
    sealer, opener = Sealer(one.suite, one.outbound), Opener(other.suite, other.inbound)
    first, second = sealer.seal(FRAME + b"first"), sealer.seal(FRAME + b"second")
    sent = {
        "replay": [first, first],
        "drop": [second],
        "reorder": [second, first],
        "flip": [bytes([first[0] ^ 1]) + first[1:]],
        "truncate": [first[:-1]],
    }[attack]
    with pytest.raises(ChannelFailure) as caught:
        for record in sent:
            opener.open(record)
    assert caught.value.code == CloseCode.BAD_RECORD


def test_a_key_that_protected_nothing_is_not_changed() -> None:
    one, other = pair((1,))
    with pytest.raises(ChannelFailure):
        Opener(other.suite, other.inbound).open(Sealer(one.suite, one.outbound).key_change())


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("ready", {"server_id": "alpha"}),
        ("heartbeat", {"sequence": 2**63, "sent_at_ms": -1}),
        ("asset_request", {"request": 7, "sha256": bytes(32), "offset": 2**32, "length": 65536}),
        ("asset_response", {"request": 7, "chunk": b""}),
        ("world_response", {"request": 7, "manifest": {"sha256": bytes(32), "size": 0}}),
        ("verdict", {"handoff_id": bytes(16), "aborted": {}}),
    ],
)
def test_frames_survive_the_way_there_and_back(body: str, values: dict) -> None:
    assert frames.decode(frames.encode(body, **values)) == (body, values)


def test_unknown_fields_and_bodies_are_ignored() -> None:
    unknown = protobuf.encode((protobuf.Field(99, "new", "text"),), {"new": "later"})
    assert frames.decode(unknown) == ("", {})
    assert frames.decode(frames.encode("ready", server_id="alpha") + unknown)[0] == "ready"


def test_the_identity_point_and_its_like_are_no_keys() -> None:
    assert len(ed25519.SMALL_ORDER_YS) == 5
    for y in ed25519.SMALL_ORDER_YS:
        assert not ed25519.is_sound_point(y.to_bytes(32, "little"))
    assert not ed25519.is_sound_point((ed25519.PRIME + 3).to_bytes(32, "little"))
    # S + L verifies by the equation alone.
    own = identity()
    signature = own.sign(b"message")
    larger = (int.from_bytes(signature[32:], "little") + ed25519.ORDER).to_bytes(32, "little")
    assert ed25519.verify(own.signing_key, signature, b"message")
    assert not ed25519.verify(own.signing_key, signature[:32] + larger, b"message")


def test_a_document_of_one_type_is_not_taken_as_another() -> None:
    own = identity()
    card = statements.card(own, "ws://localhost:7700", 1_800_000_000)
    assert statements.verify(card, statements.CARD, own.signing_key)["iss"] == own.server_id
    with pytest.raises(statements.Invalid):
        statements.verify(card, statements.SESSION, own.signing_key)
