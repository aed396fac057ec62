"""What a running server refuses, and with which close code of PROTOCOL.md."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aether_peer import ed25519, frames
from aether_peer.channel import Channel, ChannelClosed, establish, now_ms, receive_message
from aether_peer.closing import ChannelFailure, CloseCode
from aether_peer.handshake import Handshake
from aether_peer.listener import listen, port_of
from aether_peer.messages import Signature
from support import (
    AetherServer,
    code_of_refusal,
    connected,
    eventually,
    handshake,
    identity,
    known,
    signatures_exchanged,
)
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed


async def hello_refused(server: AetherServer, hello: bytes | str) -> int | None:
    return await code_of_refusal(server.url, lambda connection: connection.send(hello))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"version": 2, "min_compat_version": 2}, CloseCode.INCOMPATIBLE_VERSION),
        ({"version": 0, "min_compat_version": 0}, CloseCode.PROTOCOL_ERROR),
        ({"version": 1, "min_compat_version": 2}, CloseCode.PROTOCOL_ERROR),
        ({"server_id": "alpha"}, CloseCode.REFLECTED),
        ({"server_id": "no-such-server"}, CloseCode.UNTRUSTED_PEER),
        ({"server_id": "Not.An.Id"}, CloseCode.PROTOCOL_ERROR),
        ({"server_id": ""}, CloseCode.PROTOCOL_ERROR),
        ({"expected_peer": "gamma"}, CloseCode.WRONG_PEER),
        ({"expected_peer": "a..b"}, CloseCode.PROTOCOL_ERROR),
        ({"suites": (0x0101, 0x0102)}, CloseCode.NO_COMMON_SUITE),
        ({"suites": (0x7777,)}, CloseCode.NO_COMMON_SUITE),
        ({"suites": ()}, CloseCode.PROTOCOL_ERROR),
        ({"suites": (1, 1)}, CloseCode.PROTOCOL_ERROR),
        ({"suites": tuple(range(1, 18))}, CloseCode.PROTOCOL_ERROR),
        ({"ephemeral_key": bytes(31)}, CloseCode.PROTOCOL_ERROR),
        ({"encapsulation_key": b""}, CloseCode.PROTOCOL_ERROR),
        ({"encapsulation_key": bytes(1183)}, CloseCode.PROTOCOL_ERROR),
        ({"encapsulation_key": b"\xff" * 1184}, CloseCode.PROTOCOL_ERROR),
    ],
    ids=str,
)
async def test_a_hello_is_refused(alpha: AetherServer, changed: dict[str, Any], code: CloseCode) -> None:
    changed = {name: value[:] if isinstance(value, bytes) else value for name, value in changed.items()}
    assert await hello_refused(alpha, handshake(alpha, known(alpha), **changed).hello_bytes) == code


@pytest.mark.parametrize("seconds", [-310, 310, -(2**62) // 1000, 2**62 // 1000])
async def test_a_clock_that_is_off_is_refused(alpha: AetherServer, seconds: int) -> None:
    hello = handshake(alpha, known(alpha), timestamp=now_ms() + seconds * 1000).hello_bytes
    assert await hello_refused(alpha, hello) == CloseCode.CLOCK_SKEW


@pytest.mark.parametrize("seconds", [-290, 290])
async def test_a_clock_within_bounds_is_accepted(alpha: AetherServer, seconds: int) -> None:
    machine = handshake(alpha, known(alpha), timestamp=now_ms() + seconds * 1000)
    async with connected(machine, alpha.url) as session:
        await session.heartbeat()


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        (lambda hello: hello[:-1], CloseCode.PROTOCOL_ERROR),
        (lambda hello: hello + b"\0", CloseCode.PROTOCOL_ERROR),
        (lambda hello: b"\x02" + hello[1:], CloseCode.PROTOCOL_ERROR),
        (lambda hello: b"", CloseCode.PROTOCOL_ERROR),
        (lambda hello: b"\x01" + hello[1:] + bytes(8192), CloseCode.OVERSIZED),
        (lambda hello: "text", CloseCode.PROTOCOL_ERROR),
    ],
    ids=["short", "long", "another kind", "empty", "too large", "text"],
)
async def test_bytes_that_are_no_hello_are_refused(
    alpha: AetherServer, spoilt: Callable[[bytes], bytes], code: CloseCode
) -> None:
    assert await hello_refused(alpha, spoilt(handshake(alpha, known(alpha)).hello_bytes)) == code


async def test_the_servers_own_hello_is_reflected(alpha: AetherServer) -> None:
    async def reflect(connection: Connection) -> None:
        await connection.send(await receive_message(connection))

    assert await code_of_refusal(alpha.url, reflect) == CloseCode.REFLECTED


async def test_a_known_id_with_another_key_is_refused(alpha: AetherServer) -> None:
    imposter = identity(known(alpha).server_id, seed="another")
    machine = handshake(alpha, imposter)
    code = await code_of_refusal(alpha.url, lambda connection: signatures_exchanged(connection, machine))
    assert code == CloseCode.WRONG_KEY


async def test_a_suspended_peer_is_refused(alpha: AetherServer) -> None:
    own = known(alpha)
    await alpha.run_async("peers", "suspend", own.server_id)
    assert await hello_refused(alpha, handshake(alpha, own).hello_bytes) == CloseCode.SUSPENDED


async def test_suspending_ends_the_channel(alpha: AetherServer) -> None:
    own = known(alpha)
    async with connected(handshake(alpha, own), alpha.url) as session:
        await alpha.run_async("peers", "suspend", own.server_id)
        await eventually(lambda: session.close_code is not None, "the channel's end")
    assert session.close_code == CloseCode.SUSPENDED


def flipped(offset: int) -> Callable[[bytes], bytes]:
    def alter(message: bytes) -> bytes:
        spoilt = bytearray(message)
        spoilt[offset] ^= 1
        return bytes(spoilt)

    return alter


@pytest.mark.parametrize(
    ("alter", "codes"),
    [
        # Whether a changed key is still a point decides nothing: the signature covers it.
        (flipped(5), {CloseCode.INVALID_SIGNATURE}),
        (flipped(40), {CloseCode.INVALID_SIGNATURE}),
        (flipped(100), {CloseCode.INVALID_SIGNATURE}),
        (flipped(-40), {CloseCode.INVALID_SIGNATURE}),
        (flipped(-1), {CloseCode.INVALID_SIGNATURE}),
        (flipped(0), {CloseCode.PROTOCOL_ERROR}),
        (flipped(2), {CloseCode.PROTOCOL_ERROR}),
        (lambda message: message + b"\0", {CloseCode.PROTOCOL_ERROR}),
        (lambda message: message[:-1], {CloseCode.PROTOCOL_ERROR}),
        (lambda message: message + bytes(8192), {CloseCode.OVERSIZED}),
    ],
    ids=["signing key", "kex key", "ciphertext", "R", "S", "kind", "length", "long", "short", "too large"],
)
async def test_an_altered_signature_message_is_refused(
    alpha: AetherServer, alter: Callable[[bytes], bytes], codes: set[CloseCode]
) -> None:
    machine = handshake(alpha, known(alpha))
    code = await code_of_refusal(alpha.url, lambda connection: signatures_exchanged(connection, machine, alter))
    assert code in codes


def signed_anew(machine: Handshake, role: str | None = None, **changed: bytes) -> bytes:
    """Our Signature with other fields or another role, and a signature that covers them."""
    message = replace(Signature.decode(machine.signature_bytes, hybrid=True), **changed)
    signed = message.signed(role or machine._role(machine.is_low), machine.hello_hash, machine.identity.server_id)
    return replace(message, signature=machine.identity.sign(signed)).encoded()


async def test_the_servers_own_signature_is_reflected(alpha: AetherServer) -> None:
    async def reflect(connection: Connection) -> None:
        await connection.send(handshake(alpha, own).hello_bytes)
        await receive_message(connection)
        await connection.send(await receive_message(connection))

    own = known(alpha)
    assert await code_of_refusal(alpha.url, reflect) == CloseCode.REFLECTED


async def test_a_signature_in_the_other_role_is_refused(alpha: AetherServer) -> None:
    machine = handshake(alpha, known(alpha))
    code = await code_of_refusal(
        alpha.url,
        lambda connection: signatures_exchanged(
            connection, machine, lambda _: signed_anew(machine, machine._role(not machine.is_low))
        ),
    )
    assert code == CloseCode.INVALID_SIGNATURE


# RFC 7748 section 6.1 wants the zeros that these lead to noticed.
LOW_ORDER = [
    bytes(32),
    bytes([1]) + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
]


@pytest.mark.parametrize("key", LOW_ORDER, ids=["zero", "one", "order eight"])
async def test_a_low_order_exchange_key_is_refused(alpha: AetherServer, key: bytes) -> None:
    machine = handshake(alpha, known(alpha))
    code = await code_of_refusal(
        alpha.url,
        lambda connection: signatures_exchanged(connection, machine, lambda _: signed_anew(machine, kex_key=key)),
    )
    assert code == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("y", sorted(ed25519.SMALL_ORDER_YS), ids=lambda y: f"{y:x}"[:8])
async def test_a_low_order_signing_key_is_refused(alpha: AetherServer, y: int) -> None:
    machine = handshake(alpha, known(alpha))
    key = y.to_bytes(32, "little")
    code = await code_of_refusal(
        alpha.url,
        lambda connection: signatures_exchanged(connection, machine, lambda _: signed_anew(machine, signing_key=key)),
    )
    assert code == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("key", LOW_ORDER, ids=["zero", "one", "order eight"])
async def test_a_low_order_ephemeral_key_is_refused(alpha: AetherServer, key: bytes) -> None:
    machine = handshake(alpha, known(alpha), ephemeral_key=key)
    code = await code_of_refusal(alpha.url, lambda connection: signatures_exchanged(connection, machine))
    assert code == CloseCode.PROTOCOL_ERROR


async def test_a_replayed_handshake_is_refused(alpha: AetherServer) -> None:
    """Hello and Signature of a channel that was good once do not fit the server's next Hello."""
    machine = handshake(alpha, known(alpha))
    async with connected(machine, alpha.url) as session:
        await session.heartbeat()

    async def replay(connection: Connection) -> None:
        await connection.send(machine.hello_bytes)
        await connection.send(machine.signature_bytes)

    assert await code_of_refusal(alpha.url, replay) == CloseCode.INVALID_SIGNATURE


async def channel_without_ready(connection: Connection, machine: Handshake) -> Channel:
    return Channel(connection, await signatures_exchanged(connection, machine))


async def send_heartbeat(channel: Channel, machine: Handshake) -> None:
    await channel.send("heartbeat", sequence=1, sent_at_ms=now_ms())


async def send_other_ready(channel: Channel, machine: Handshake) -> None:
    await channel.send("ready", server_id="someone-else")


async def send_ready_under_our_inbound_key(channel: Channel, machine: Handshake) -> None:
    completed = replace(channel.completed, is_low=not channel.completed.is_low)
    await Channel(channel._socket, completed).send("ready", server_id=machine.identity.server_id)


async def send_key_change(channel: Channel, machine: Handshake) -> None:
    await channel.change_key()


async def send_signature_again(channel: Channel, machine: Handshake) -> None:
    await channel.send_record(machine.signature_bytes)


async def send_large_ready(channel: Channel, machine: Handshake) -> None:
    await channel.send_record(bytes(8193))


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (send_heartbeat, CloseCode.PROTOCOL_ERROR),
        (send_other_ready, CloseCode.WRONG_PEER),
        (send_ready_under_our_inbound_key, CloseCode.BAD_RECORD),
        (send_key_change, CloseCode.PROTOCOL_ERROR),
        (send_signature_again, CloseCode.BAD_RECORD),
        (send_large_ready, CloseCode.OVERSIZED),
    ],
    ids=["heartbeat", "another's Ready", "Ready under the wrong key", "key change", "Signature", "too large"],
)
async def test_another_first_record_than_ready_is_refused(alpha: AetherServer, first: Any, code: CloseCode) -> None:
    machine = handshake(alpha, known(alpha))

    async def act(connection: Connection) -> None:
        await first(await channel_without_ready(connection, machine), machine)

    assert await code_of_refusal(alpha.url, act) == code


def heartbeat(sequence: int = 1) -> bytes:
    return frames.encode("heartbeat", sequence=sequence, sent_at_ms=now_ms())


def records(channel: Channel, attack: str) -> list[bytes]:
    """What is sent after Ready; every record but the attacked ones is honest."""
    sealer = channel._sealer
    match attack:
        case "replayed":
            return [sealer.seal(b"\0" + heartbeat())] * 2
        case "dropped":
            return [sealer.seal(b"\0" + heartbeat(number)) for number in (1, 2)][1:]
        case "reordered":
            return [sealer.seal(b"\0" + heartbeat(number)) for number in (1, 2)][::-1]
        case "flipped":
            return [flipped(3)(sealer.seal(b"\0" + heartbeat()))]
        case "flipped tag":
            return [flipped(-1)(sealer.seal(b"\0" + heartbeat()))]
        case "truncated":
            return [sealer.seal(b"\0" + heartbeat())[:-1]]
        case "too short":
            return [b"short"]
        case "empty":
            return [b""]
        case "too large":
            return [bytes(1_114_130)]
        case "another first byte":
            return [sealer.seal(b"\2" + heartbeat())]
        case "no first byte":
            return [sealer.seal(b"")]
        case "key change with a body":
            return [sealer.seal(b"\1body")]
        case "key changed twice":
            return [sealer.key_change(), sealer.key_change()]
        case "no protobuf":
            return [sealer.seal(b"\0\xff\xff\xff")]
        case "Ready again":
            return sealer.frame(frames.encode("ready", server_id="peer"))
        case "field out of bounds":
            return sealer.frame(frames.encode("query", handoff_id=bytes(15)))
    raise ValueError(attack)


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        ("replayed", CloseCode.BAD_RECORD),
        ("dropped", CloseCode.BAD_RECORD),
        ("reordered", CloseCode.BAD_RECORD),
        ("flipped", CloseCode.BAD_RECORD),
        ("flipped tag", CloseCode.BAD_RECORD),
        ("truncated", CloseCode.BAD_RECORD),
        ("too short", CloseCode.BAD_RECORD),
        ("empty", CloseCode.BAD_RECORD),
        ("too large", CloseCode.OVERSIZED),
        ("another first byte", CloseCode.PROTOCOL_ERROR),
        ("no first byte", CloseCode.PROTOCOL_ERROR),
        ("key change with a body", CloseCode.PROTOCOL_ERROR),
        ("key changed twice", CloseCode.PROTOCOL_ERROR),
        ("no protobuf", CloseCode.PROTOCOL_ERROR),
        ("Ready again", CloseCode.PROTOCOL_ERROR),
        ("field out of bounds", CloseCode.PROTOCOL_ERROR),
    ],
)
async def test_a_record_is_refused(alpha: AetherServer, attack: str, code: CloseCode) -> None:
    machine = handshake(alpha, known(alpha))

    async def act(connection: Connection) -> None:
        channel = await establish(connection, machine)
        for record in records(channel, attack):
            await channel.send_record(record)

    assert await code_of_refusal(alpha.url, act) == code


@pytest.mark.parametrize(
    ("presented", "code"),
    [("another key", CloseCode.WRONG_KEY), ("another id", CloseCode.WRONG_PEER)],
)
async def test_the_server_that_dials_refuses_us(alpha: AetherServer, presented: str, code: CloseCode) -> None:
    """The card is one server's, and who answers at its endpoint is another."""
    carded = identity()
    answering = identity(carded.server_id, "another") if presented == "another key" else identity()
    codes: list[int | None] = []

    async def accepted(socket: ServerConnection) -> None:
        machine = Handshake(answering, {alpha.id: alpha.key}, now_ms())
        try:
            # The peer's expectation is told in its Hello: a server that lies does not mind it.
            machine.hello_bytes = machine.hello.encoded()
            await signatures_exchanged_leniently(socket, machine)
            while True:
                await receive_message(socket)
        except ChannelClosed as closed:
            codes.append(closed.code)

    async with await listen(carded, accepted) as listener:
        await alpha.run_async(
            "peers", "add", f"http://127.0.0.1:{port_of(listener)}", "--yes", "--allow-private-addresses"
        )
        await eventually(lambda: codes, "a refusal")
        shown = await alpha.ask("GET", f"/v1/peers/{carded.server_id}")
        await alpha.run_async("peers", "remove", carded.server_id)
    assert codes[0] == code
    assert shown.body["trusted"] is False


async def signatures_exchanged_leniently(socket: ServerConnection, machine: Handshake) -> None:
    await socket.send(machine.hello_bytes)
    content = await receive_message(socket)
    try:
        await socket.send(machine.receive_hello(content, now_ms()))
    except ChannelFailure as failure:
        assert failure.code == CloseCode.WRONG_PEER


async def says_nothing(connection: Connection, machine: Handshake) -> None:
    return None


async def says_hello(connection: Connection, machine: Handshake) -> None:
    await connection.send(machine.hello_bytes)


async def says_all_but_ready(connection: Connection, machine: Handshake) -> None:
    await signatures_exchanged(connection, machine)


async def says_a_byte_a_second(connection: Connection, machine: Handshake) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for start in range(len(machine.hello_bytes)):
            yield machine.hello_bytes[start : start + 1]
            await asyncio.sleep(1)

    try:
        await connection.send(slowly())
    except ConnectionClosed:
        return


@pytest.mark.slow
async def test_a_handshake_that_does_not_come_to_its_end_times_out(alpha: AetherServer) -> None:
    async def closed(act: Any) -> tuple[int | None, float]:
        machine, start = handshake(alpha, own[act]), time.monotonic()
        return await code_of_refusal(alpha.url, lambda socket: act(socket, machine)), time.monotonic() - start

    own = {act: known(alpha) for act in (says_nothing, says_hello, says_all_but_ready, says_a_byte_a_second)}
    for code, seconds in await asyncio.gather(*(closed(act) for act in own)):
        assert code == CloseCode.HANDSHAKE_TIMEOUT
        assert 29 < seconds < 35
