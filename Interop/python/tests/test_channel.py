"""Handshake, heartbeats and changes of key with a running server, whoever dials."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aether_peer.channel import PATH, SUBPROTOCOL, Channel, dialling, establish, now_ms, receive_message
from aether_peer.closing import ChannelFailure, CloseCode
from aether_peer.handshake import Handshake
from aether_peer.identity import Identity, fingerprint
from aether_peer.listener import listen, port_of
from aether_peer.session import Session
from aether_peer.suites import SUITES
from support import AetherServer, connected, eventually, handshake, identity, known, running
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus

HYBRID_SUITES = [0x0001, 0x0002]
CLASSICAL_SUITES = [0x0101, 0x0102]


@asynccontextmanager
async def dialled_by(server: AetherServer, own: Identity, suite: int) -> AsyncIterator[Session]:
    """The channel on which `server` dials us, after its operator has added us by the card on our port."""
    established: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
    finished = asyncio.Event()

    async def accepted(socket: ServerConnection) -> None:
        machine = Handshake(own, {server.id: server.key}, now_ms(), suites=(suite,))
        async with running(await establish(socket, machine), own) as session:
            established.set_result(session)
            await finished.wait()

    async with await listen(own, accepted) as listener:
        await server.run_async(
            "peers", "add", f"http://127.0.0.1:{port_of(listener)}", "--yes", "--allow-private-addresses"
        )
        try:
            yield await asyncio.wait_for(established, 20)
        finally:
            finished.set()
            await server.run_async("peers", "remove", own.server_id)


@pytest.mark.parametrize(("name", "kept"), [("aaa-first", "ours"), ("zzz-last", "theirs")])
async def test_of_two_channels_the_one_dialled_by_the_first_id_is_kept(
    alpha: AetherServer, name: str, kept: str
) -> None:
    own = identity(name)
    async with dialled_by(alpha, own, 0x0001) as theirs:
        async with connected(handshake(alpha, own), alpha.url) as ours:
            stays, goes = (ours, theirs) if kept == "ours" else (theirs, ours)
            await eventually(lambda: goes.close_code is not None, "the other channel's end")
            await stays.heartbeat()
            assert goes.close_code == CloseCode.DUPLICATE_CHANNEL


async def test_the_websocket_is_plain(alpha: AetherServer) -> None:
    """No extension is agreed on, fragments are put together, pings are answered."""
    machine = handshake(alpha, known(alpha))

    async def in_pieces(message: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(message), 100):
            yield message[start : start + 100]

    async with connect(alpha.url + PATH, subprotocols=[SUBPROTOCOL], proxy=None) as connection:
        assert "Sec-WebSocket-Extensions" not in connection.response.headers
        await (await connection.ping())
        await connection.send(in_pieces(machine.hello_bytes))
        signature = machine.receive_hello(await receive_message(connection), now_ms())
        await connection.send(in_pieces(signature))
        channel = Channel(connection, machine.receive_signature(await receive_message(connection)))
        await channel.send("ready", server_id=machine.identity.server_id)
        assert await channel.receive() == ("ready", {"server_id": alpha.id})


@pytest.mark.parametrize("offered", [None, ["aether-federation.2"]])
async def test_another_subprotocol_is_refused(alpha: AetherServer, offered: list[str] | None) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(alpha.url + PATH, subprotocols=offered, proxy=None)
    assert caught.value.response.status_code == 400


async def meets(session: Session, server: AetherServer, suite: int, direction: str) -> None:
    """Heartbeats go both ways, the suite is the one offered, and the server calls us healthy."""
    assert session.channel.completed.suite is SUITES[suite]
    assert session.channel.completed.peer == server.id
    for _ in range(3):
        await session.heartbeat()
    await session.when(lambda body, values: body == "heartbeat" and values["sequence"] >= 1)
    path = f"/v1/peers/{session.identity.server_id}"
    shown = await eventually(
        lambda: (peer := server.request("GET", path).body)["health"] == "healthy" and peer, "health"
    )
    assert shown["trusted"] is True and shown["channel"] == direction


@pytest.mark.parametrize("suite", HYBRID_SUITES)
async def test_we_dial(alpha: AetherServer, suite: int) -> None:
    async with connected(handshake(alpha, known(alpha), (suite,)), alpha.url) as session:
        await meets(session, alpha, suite, "incoming")


@pytest.mark.parametrize("suite", HYBRID_SUITES)
async def test_we_are_dialled(alpha: AetherServer, suite: int) -> None:
    async with dialled_by(alpha, identity(), suite) as session:
        await meets(session, alpha, suite, "outgoing")


@pytest.mark.parametrize("suite", CLASSICAL_SUITES)
async def test_we_dial_where_classical_suites_are_allowed(classical: AetherServer, suite: int) -> None:
    async with connected(handshake(classical, known(classical), (suite,)), classical.url) as session:
        await meets(session, classical, suite, "incoming")


@pytest.mark.parametrize("suite", CLASSICAL_SUITES)
async def test_we_are_dialled_where_classical_suites_are_allowed(classical: AetherServer, suite: int) -> None:
    async with dialled_by(classical, identity(), suite) as session:
        await meets(session, classical, suite, "outgoing")


async def test_unknown_suites_in_front_are_passed_over(alpha: AetherServer) -> None:
    machine = handshake(alpha, known(alpha), suites=(0x7777, 0x0002, 0xFFFF))
    async with connected(machine, alpha.url) as session:
        assert session.channel.completed.suite is SUITES[0x0002]


async def test_a_later_version_may_say_more_in_its_hello(alpha: AetherServer) -> None:
    machine = handshake(alpha, known(alpha), version=7)
    machine.hello_bytes += b"what version 7 adds"
    async with connected(machine, alpha.url) as session:
        await session.heartbeat()


async def test_an_empty_expected_peer_is_anybody(alpha: AetherServer) -> None:
    async with connected(handshake(alpha, known(alpha), expected_peer=""), alpha.url) as session:
        await session.heartbeat()


async def test_our_key_changes_and_the_server_follows(alpha: AetherServer) -> None:
    async with connected(handshake(alpha, known(alpha)), alpha.url) as session:
        for _ in range(3):
            await session.heartbeat()
            await session.channel.change_key()
        await session.heartbeat()


@pytest.mark.slow
async def test_the_server_changes_its_key_and_we_follow(alpha: AetherServer) -> None:
    """A server seals 2^20 records under one key and no more: heartbeats are answered until it changes."""
    machine = handshake(alpha, known(alpha), (0x0001,))
    async with dialling(alpha.url) as connection:
        channel = await establish(connection, machine)
        sent = answered = 0
        while answered < 2**20 + 1000:
            while sent < answered + 512:
                sent += 1
                await channel.send("heartbeat", sequence=sent, sent_at_ms=0)
            body, values = await channel.receive()
            if body == "acknowledgement":
                answered += 1
                assert values["sequence"] == answered
            elif body == "heartbeat":
                await channel.send("acknowledgement", **values)
        assert channel.key_changes_seen == 1


async def test_a_frame_with_an_unknown_body_is_ignored(alpha: AetherServer) -> None:
    async with connected(handshake(alpha, known(alpha)), alpha.url) as session:
        unknown = b"\xfa\x3f\x05later"
        await session.channel.send_record(session.channel._sealer.seal(b"\x00" + unknown))
        await session.heartbeat()


async def test_a_second_channel_of_the_same_dialler_replaces_the_first(alpha: AetherServer) -> None:
    own = known(alpha)
    async with connected(handshake(alpha, own), alpha.url) as old:
        async with connected(handshake(alpha, own), alpha.url) as new:
            await eventually(lambda: old.close_code is not None, "the old channel's end")
            await new.heartbeat()
        assert old.close_code == CloseCode.DUPLICATE_CHANNEL


def test_fingerprints_are_the_same(alpha: AetherServer) -> None:
    assert json.loads(alpha.run("keys", "show", "--json"))["fingerprint"] == fingerprint(alpha.key)


async def test_we_refuse_a_server_with_another_key_than_the_pinned(alpha: AetherServer) -> None:
    machine = Handshake(known(alpha), {alpha.id: identity().signing_key}, now_ms(), alpha.id)
    async with dialling(alpha.url) as connection:
        with pytest.raises(ChannelFailure) as caught:
            await establish(connection, machine)
    assert caught.value.code == CloseCode.WRONG_KEY


async def test_the_server_is_told_why_we_refuse_it(alpha: AetherServer) -> None:
    """It dials us, and we do not know it: its operator reads so."""
    own = identity()

    async def accepted(socket: ServerConnection) -> None:
        with pytest.raises(ChannelFailure):
            await establish(socket, Handshake(own, {}, now_ms()))

    async with await listen(own, accepted) as listener:
        await alpha.run_async(
            "peers", "add", f"http://127.0.0.1:{port_of(listener)}", "--yes", "--allow-private-addresses"
        )
        path = f"/v1/peers/{own.server_id}"
        shown = await eventually(
            lambda: (peer := alpha.request("GET", path).body).get("dial", {}).get("lastFailure") and peer, "a failure"
        )
        await alpha.run_async("peers", "remove", own.server_id)
    assert "untrustedPeer" in shown["dial"]["lastFailure"] or "4003" in shown["dial"]["lastFailure"], shown
