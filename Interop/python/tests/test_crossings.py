"""Players who go from a running server to us, and from us to it."""

import asyncio
import hashlib
import json
import os
import time
from typing import Any

import pytest
from aether_peer import statements
from aether_peer.crossing import Departure, client_proof
from aether_peer.identity import Identity
from aether_peer.session import Rejected, Session
from aether_peer.worlds import CHUNK_BYTES, Library
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support import AetherServer, connected, eventually, handshake, known
from test_documents import jose_verified
from websockets.asyncio.client import connect

WORLD = "harbour"
STATE = b"three apples and a rope"


@pytest.fixture(scope="module")
def garden(alpha: AetherServer, tmp_path_factory: pytest.TempPathFactory) -> AetherServer:
    """The server with a world of its own."""
    folder = tmp_path_factory.mktemp("garden")
    (folder / "scene.json").write_text('{"tree": 1}')
    alpha.run("worlds", "add", "garden", str(folder))
    return alpha


def harbour() -> Library:
    """A world of ours: an empty file, one of a chunk's size, one of several chunks, and names to escape."""
    library = Library()
    files = {
        "scene.json": ("application/json", b"{}"),
        "empty.bin": ("application/octet-stream", b""),
        "sounds/bell.wav": ("audio/wav", bytes(CHUNK_BYTES)),
        "textures/sea.png": ("image/png", hashlib.shake_128(b"sea").digest(200_000)),
        "textures/see-ä.png": ("image/png", b"umlaut"),
    }
    library.add(WORLD, 'The "old" harbour \\ pier', files)
    return library


async def on_the_way(server: AetherServer, own: Identity, player: str, state: bytes = STATE) -> str:
    """A player enters the garden and is sent through a portal that leads to us; the crossing's id."""
    portal = f"gate-to-{own.server_id}"
    path = f"/v1/worlds/garden/players/{player}"
    entered = await asyncio.to_thread(server.request, "PUT", path, state, "application/octet-stream")
    assert entered.status == 201, entered
    route = {"portal": portal, "destination": own.server_id, "world": WORLD, "spawn": "12,0,-3.5"}
    made = await server.ask("POST", "/v1/routes", route)
    assert made.status == 201, made
    sent = await server.ask("POST", f"/v1/portals/{portal}/travel", {"player": player})
    assert sent.status == 202, sent
    return sent.body["id"]


async def healthy(session: Session, server: AetherServer, own: Identity) -> None:
    await session.heartbeat()
    path = f"/v1/peers/{own.server_id}"
    await eventually(lambda: server.request("GET", path).body["health"] == "healthy", "health")


async def phase(server: AetherServer, crossing: str, wanted: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        body = server.request("GET", f"/v1/handoffs/{crossing}").body
        assert body["phase"] in ("verifying", "prepared", "committed", wanted), body
        return body if body["phase"] == wanted else None

    return await eventually(there, f"the crossing becomes {wanted}")


async def test_a_player_comes_to_us(garden: AetherServer) -> None:
    own = known(garden)
    async with connected(handshake(garden, own), garden.url, harbour()) as session:
        await healthy(session, garden, own)
        crossing = await on_the_way(garden, own, "alice")
        done = await phase(garden, crossing, "completed")

        arrival = session.crossings.arrivals[bytes.fromhex(crossing)]
        assert arrival.snapshot == STATE
        members = jose_verified(arrival.token, garden.key, "aether-session+jwt")
        assert members["iss"] == garden.id and members["aud"] == own.server_id
        assert members["sub"] == f"alice@{garden.id}" and members["jti"] == crossing
        assert members["world"] == WORLD and members["spawn"] == "12,0,-3.5"
        assert members["snapshot"] == hashlib.sha256(STATE).hexdigest() and members["size"] == len(STATE)
        assert 0 < members["exp"] - members["iat"] <= 60
        # The source shows the receipt that we signed, and where the player's client goes.
        assert jose_verified(done["receipt"], own.signing_key, "aether-receipt+jwt")["epoch"] == members["epoch"]
        fresh = jose_verified(done["redirect"]["token"], garden.key, "aether-session+jwt")
        assert fresh["jti"] == crossing
        assert all(step["ok"] for step in done["steps"])


async def test_a_large_state_comes_to_us_whole(garden: AetherServer) -> None:
    own, state = known(garden), os.urandom(1_048_576)
    async with connected(handshake(garden, own), garden.url, harbour()) as session:
        await healthy(session, garden, own)
        crossing = await on_the_way(garden, own, "carol", state)
        await phase(garden, crossing, "completed")
        assert session.crossings.arrivals[bytes.fromhex(crossing)].snapshot == state


async def test_a_player_whom_we_refuse_goes_on_there(garden: AetherServer) -> None:
    own, library = known(garden), harbour()
    async with connected(handshake(garden, own), garden.url, library) as session:
        await healthy(session, garden, own)
        session.crossings.offer = lambda values, *_: (
            "reject",
            {"handoff_id": values["handoff_id"], "code": "harbour.closedForStorm", "reason": "no berth is free"},
        )
        crossing = await on_the_way(garden, own, "dave")
        done = await phase(garden, crossing, "aborted")
        assert done["refusal"]["code"] == "harbour.closedForStorm"
        player = await garden.ask("GET", "/v1/worlds/garden/players/dave")
        assert player.body["presence"] == "playable"


async def test_a_file_that_is_not_what_the_manifest_says_stops_the_crossing(garden: AetherServer) -> None:
    # A file that the server does not hold from another crossing.
    own, library, content = known(garden), Library(), os.urandom(100)
    library.add(WORLD, "harbour", {"boat.bin": ("application/octet-stream", content)})
    library._assets[hashlib.sha256(content).digest()] = content[::-1]
    async with connected(handshake(garden, own), garden.url, library) as session:
        await healthy(session, garden, own)
        crossing = await on_the_way(garden, own, "erin")
        done = await phase(garden, crossing, "aborted")
        assert done["refusal"]["step"] == "verification"
        assert not session.crossings.arrivals


def departure(own: Identity, player: str = "bob", epoch: int = 1) -> Departure:
    return Departure(f"{player}@{own.server_id}", "garden", STATE, epoch)


async def test_a_player_goes_from_us(garden: AetherServer) -> None:
    own = known(garden)
    async with connected(handshake(garden, own), garden.url) as session:
        going = departure(own)
        await session.depart(going)
        assert going.state == "completed"
        path = f"/v1/worlds/garden/players/{going.player}"
        shown = await eventually(lambda: (answer := garden.request("GET", path)).status == 200 and answer.body, "bob")
        assert shown["epoch"] == 1 and shown["stateBytes"] == len(STATE)
        # The same handoff gets the same answer, however often.
        first = await session.commit(going)
        second = await session.commit(going)
        assert first == second
        members = jose_verified(first, garden.key, "aether-receipt+jwt")
        assert members["jti"] == going.handoff_id.hex() and members["aud"] == own.server_id


async def arriving(server: AetherServer, going: Departure, token: str, key: Ed25519PrivateKey | None) -> dict[str, Any]:
    """What a player's client is told that shows this token, and proves that it holds this key."""
    async with connect(f"{server.url}/client", proxy=None) as client:
        welcome = json.loads(await client.recv())
        shown = {"type": "arrive", "token": token}
        if key is not None:
            shown["proof"] = client_proof(key, bytes.fromhex(welcome["challenge"]), going.handoff_id)
        await client.send(json.dumps(shown))
        return json.loads(await client.recv())


async def test_the_players_client_shows_the_token_once(garden: AetherServer) -> None:
    own = known(garden)
    going = departure(own, "frank")
    async with connected(handshake(garden, own), garden.url) as session:
        await session.depart(going)
    token = going.token(own, garden.id, int(time.time()))
    arrived = await arriving(garden, going, token, None)
    assert arrived["type"] == "arrived" and arrived["ticket"], arrived
    again = await arriving(garden, going, token, None)
    assert again["type"] == "error", again


async def test_the_players_client_proves_that_it_holds_its_key(garden: AetherServer) -> None:
    own, key, other = known(garden), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    going = departure(own, "grace")
    going.client_key = key.public_key().public_bytes_raw()
    async with connected(handshake(garden, own), garden.url) as session:
        await session.depart(going)
    token = going.token(own, garden.id, int(time.time()))
    for wrong in (None, other):
        assert (await arriving(garden, going, token, wrong))["type"] == "error"
    assert (await arriving(garden, going, token, key))["type"] == "arrived"


async def test_a_stale_epoch_is_refused(garden: AetherServer) -> None:
    own = known(garden)
    async with connected(handshake(garden, own), garden.url) as session:
        await session.depart(departure(own, epoch=5))
        with pytest.raises(Rejected):
            await session.depart(departure(own, epoch=5))


async def test_a_destination_asks_after_a_reservation_and_learns_that_it_is_void(garden: AetherServer) -> None:
    """Offered on one channel, forgotten by us, asked on the next: presumed aborted."""
    own, going = known(garden), None
    async with connected(handshake(garden, own), garden.url) as session:
        going = departure(own)
        answered = session.when(lambda body, values: body == "accept")
        token = going.token(own, garden.id, int(time.time()))
        await session.channel.send("offer", handoff_id=going.handoff_id, token=token, snapshot=going.snapshot)
        await answered
    async with connected(handshake(garden, own), garden.url) as session:
        _, values = await session.when(lambda body, values: body == "query")
        assert values["handoff_id"] == going.handoff_id
        shown = await phase_of(garden, going.handoff_id.hex(), "aborted")
        assert shown["role"] == "destination"


async def test_a_decision_reaches_a_destination_that_asks(garden: AetherServer) -> None:
    """Committed while the channel was away: the verdict carries a fresh token, and the player is admitted."""
    own = known(garden)
    going = departure(own)
    async with connected(handshake(garden, own), garden.url) as session:
        answered = session.when(lambda body, values: body == "accept")
        token = going.token(own, garden.id, int(time.time()))
        await session.channel.send("offer", handoff_id=going.handoff_id, token=token, snapshot=going.snapshot)
        await answered
    going.state, going.decision = "committed", 1
    async with connected(handshake(garden, own), garden.url) as session:
        session.crossings.departures[going.handoff_id] = going
        shown = await phase_of(garden, going.handoff_id.hex(), "admitted")
        assert shown["player"] == going.player


async def phase_of(server: AetherServer, crossing: str, wanted: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        answer = server.request("GET", f"/v1/handoffs/{crossing}")
        return answer.body if answer.status == 200 and answer.body["phase"] == wanted else None

    return await eventually(there, f"the crossing becomes {wanted}")


@pytest.mark.parametrize(
    "wrong",
    ["aud", "iss", "exp", "iat", "jti", "snapshot", "world", "signer", "type"],
)
async def test_an_offer_with_a_wrong_token_is_rejected(garden: AetherServer, wrong: str) -> None:
    own = known(garden)
    going = departure(own)
    now = int(time.time())
    members = statements.verify(going.token(own, garden.id, now), statements.SESSION)
    signer, typ, snapshot = own, statements.SESSION, going.snapshot
    match wrong:
        case "aud":
            members["aud"] = "gamma"
        case "iss":
            members["iss"] = "gamma"
        case "exp":
            members |= {"iat": now - 200, "nbf": now - 200, "exp": now - 140}
        case "iat":
            members["exp"] = now + 3600
        case "jti":
            members["jti"] = bytes(16).hex()
        case "snapshot":
            snapshot = b"four apples"
        case "world":
            members["world"] = "nowhere"
        case "signer":
            signer = known(garden)
        case "type":
            typ = statements.RECEIPT
    async with connected(handshake(garden, own), garden.url) as session:
        answered = session.when(lambda body, values: body in ("accept", "reject"))
        token = statements.sign(signer, typ, members)
        await session.channel.send("offer", handoff_id=going.handoff_id, token=token, snapshot=snapshot)
        body, values = await answered
        assert body == "reject", f"accepted with a wrong {wrong}"
        assert values["code"]
    assert (await garden.ask("GET", f"/v1/handoffs/{going.handoff_id.hex()}")).status == 404
