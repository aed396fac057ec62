"""The players: for each one a world server that saves, a client that follows, and a memory of what was promised."""

import asyncio
import base64
import json
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chaos.api import Answer, Unreachable
from chaos.federation import Federation, portal
from chaos.servers import CannotRun, Server
from chaos.websocket import Closed, Socket

# How long a client listens for the next word about its crossing before its world server looks for the player.
_SILENCE_SECONDS = 45.0
_ARRIVAL_SECONDS = 20.0
_LARGE_BYTES = 200_000


@dataclass(slots=True)
class Found:
    """A player at a server that says they can play."""

    server: Server
    epoch: int
    counter: int


class Player:
    """One player's life: found, saved, sent through a portal, arrived, found again.

    The state that the servers carry holds a counter, which goes up with every save. Whatever happens, the counter that
    is found is never below the last one whose save was acknowledged, and never above the last one that was sent.
    """

    def __init__(self, name: str, home: str, federation: Federation, chance: random.Random, pause: float) -> None:
        self.name = f"{name}@{home}"
        self._federation, self._chance, self._pause = federation, chance, pause
        self._findings, self._events = federation.findings, federation.tally.events
        self._padding = "." * chance.choices((40, 2_000, _LARGE_BYTES), (80, 17, 3))[0]
        self.place = home
        self.epoch = 1
        self.attempted = 0
        self.acknowledged = 0
        self._left: str | None = None

    # MARK: Life

    async def enter(self) -> None:
        """The first save, before anything goes wrong."""
        server = self._federation.servers[self.place]
        answer = await self._put(server, 1, 1)
        if answer.status != 201:
            raise CannotRun(f"{self.name} could not enter: {answer.body.decode()}")
        self.acknowledged = 1

    async def live(self, over: asyncio.Event) -> None:
        while not over.is_set():
            found = await self._find(over)
            if found is None:
                return
            self._check_stale_later()
            if (ticket := await self._play(found)) is None:
                continue
            await asyncio.sleep(self._chance.expovariate(1 / self._pause))
            if not over.is_set():
                await self._cross(found, ticket)

    # MARK: Finding

    async def _find(self, over: asyncio.Event) -> Found | None:
        """Asks the servers, the likely one first, until one says that the player can play there."""
        loop = asyncio.get_running_loop()
        since, wait = loop.time(), 0.03
        while not over.is_set():
            for server in sorted(self._federation.servers.values(), key=lambda one: one.name != self.place):
                if found := await self._look(server):
                    limbo = loop.time() - since
                    self._federation.tally.longest_limbo = max(self._federation.tally.longest_limbo, limbo)
                    return found
            await asyncio.sleep(wait)
            wait = min(wait * 1.6, 1.0)
        return None

    async def _look(self, server: Server) -> Found | None:
        try:
            answer = await server.api.get(server.players_path(self.name))
        except Unreachable:
            return None
        if answer.status != 200 or answer.json["presence"] not in ("playable", "left"):
            return None
        found = Found(server, int(answer.json["epoch"]), self.check_state(answer.json, server.name))
        if answer.json["presence"] == "left" and not await self._return(found):
            return None
        if server.name != self.place:
            self._left = self.place
        self.place, self.epoch = server.name, found.epoch
        return found

    def check_state(self, record: dict[str, Any], where: str) -> int:
        """The counter in a player's state, after a comparison with what was promised."""
        state = json.loads(base64.b64decode(record["state"]))
        counter, epoch = int(state["counter"]), int(record["epoch"])
        if state["player"] != self.name:
            self._findings.add("savesLost", self.name, f"{self.name} has the state of {state['player']} at {where}")
        if counter < self.acknowledged:
            self._findings.add(
                "savesLost",
                self.name,
                f"{self.name} has save {counter} at {where}, though save {self.acknowledged} was acknowledged",
            )
        if counter > self.attempted:
            self._findings.add(
                "savesLost",
                self.name,
                f"{self.name} has save {counter} at {where}, of {self.attempted} that were sent",
            )
        if epoch < self.epoch:
            self._findings.add(
                "doubled", self.name, f"{self.name} is playable with epoch {epoch} at {where} after epoch {self.epoch}"
            )
        return counter

    # MARK: Playing

    async def _play(self, found: Found) -> str | None:
        """Saves a few times; answers the last ticket, or nothing when the server no longer takes saves."""
        ticket: str | None = None
        if self._chance.random() < 0.03:
            await self._leave(found)
            if not await self._return(found):
                return None
        for _ in range(self._chance.randint(1, 3)):
            if (ticket := await self._save(found)) is None:
                return None
        return ticket

    async def _save(self, found: Found) -> str | None:
        """Saves once, which also brings back a player who has left; answers the ticket."""
        found.counter += 1
        try:
            answer = await self._put(found.server, found.counter, found.epoch)
        except Unreachable:
            return None
        if answer.status != 200:
            self._refused(answer)
            return None
        self.acknowledged = found.counter
        self._events["saves"] += 1
        return str(answer.json["ticket"])

    async def _return(self, found: Found) -> bool:
        """Plays again where the player has left."""
        if await self._save(found) is None:
            return False
        self._federation.worlds[found.server.name].entered(self.name)
        return True

    async def _leave(self, found: Found) -> None:
        """Stops playing."""
        world = self._federation.worlds[found.server.name]
        with suppress(Unreachable):
            path, epoch = found.server.players_path(self.name), str(found.epoch)
            await found.server.api.request("DELETE", path, headers={"Aether-Epoch": epoch})
            world.present.discard(self.name)
            self._events["leaves"] += 1

    async def _put(self, server: Server, counter: int, epoch: int) -> Answer:
        self.attempted = max(self.attempted, counter)
        state = json.dumps({"player": self.name, "counter": counter, "padding": self._padding}).encode()
        return await server.api.put(server.players_path(self.name), state, {"Aether-Epoch": str(epoch)})

    def _check_stale_later(self) -> None:
        """Now and then the world server that the player left saves once more, as one that slept through it would."""
        if self._left is None or self._left == self.place or self._chance.random() > 0.1:
            return
        server, self._left = self._federation.servers[self._left], None
        self._federation.background(self._save_late(server, self.epoch - 1))

    async def _save_late(self, server: Server, epoch: int) -> None:
        state = json.dumps({"player": self.name, "counter": -1}).encode()
        try:
            answer = await server.api.put(server.players_path(self.name), state, {"Aether-Epoch": str(epoch)})
        except Unreachable:
            return
        self._events["staleSaves"] += 1
        if answer.status < 400:
            self._findings.add("staleWrites", self.name, f"{server.name} took a save of {self.name} with epoch {epoch}")

    # MARK: Crossing

    async def _cross(self, found: Found, ticket: str) -> None:
        """Walks through a portal, with a client that listens most of the time."""
        destination = self._chance.choice(self._federation.others(found.server.name))
        if self._chance.random() < 0.25:
            await self._cross_unheard(found, destination)
            return
        try:
            async with Socket(f"ws://127.0.0.1:{found.server.port}/client") as socket:
                await socket.receive()
                socket.send({"type": "join", "ticket": ticket})
                if (await socket.receive())["type"] != "joined":
                    return
                handoff = await self._set_out(found, destination)
                if handoff:
                    await self._follow(socket, handoff, destination)
        except Closed:
            self._events["clientsCut"] += 1

    async def _set_out(self, found: Found, destination: Server) -> str | None:
        server = found.server
        departure = {"player": self.name, "epoch": found.epoch}
        request = server.api.post(f"/v1/portals/{portal(destination.name)}/travel", departure)
        server.departure.set()
        destination.departure.set()
        try:
            answer = await request
        except Unreachable:
            return None
        if answer.status != 202:
            self._refused(answer)
            return None
        self._events["setOut"] += 1
        handoff = str(answer.json["id"])
        if self._chance.random() < 0.03:
            try:
                await server.api.request("DELETE", f"/v1/handoffs/{handoff}")
            except Unreachable:
                return None
        return handoff

    async def _follow(self, socket: Socket, handoff: str, destination: Server) -> None:
        """Listens until the crossing is decided, and goes after the player."""
        try:
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    message = await socket.receive()
                if message.get("handoff") != handoff:
                    continue
                match message["type"]:
                    case "redirect":
                        await self._arrive(handoff, destination, str(message["url"]), str(message["token"]))
                        return
                    case "returned":
                        self._federation.tally.refusals[str(message["code"])] += 1
                        return
                    case "completed":
                        return
        except TimeoutError:
            self._events["silences"] += 1

    async def _cross_unheard(self, found: Found, destination: Server) -> None:
        """A player without a client: the world server asks how it goes, and the client appears at the destination."""
        server, handoff = found.server, await self._set_out(found, destination)
        for _ in range(40 if handoff else 0):
            try:
                crossing = (await server.api.get(f"/v1/handoffs/{handoff}")).json
            except Unreachable:
                return
            if crossing.get("phase") == "aborted":
                self._federation.tally.refusals[str(crossing.get("refusal", {}).get("code"))] += 1
                return
            if redirect := crossing.get("redirect"):
                await self._arrive(str(handoff), destination, str(redirect["url"]), str(redirect["token"]))
                return
            await asyncio.sleep(0.1)

    # MARK: Arriving

    async def _arrive(self, handoff: str, destination: Server, url: str, token: str) -> None:
        """Shows the token: most of the time once, sometimes twice at once, twice in a row, or at the wrong server."""
        dice = self._chance.random()
        if dice < 0.05:
            wrong = self._chance.choice(self._federation.others(destination.name))
            await self._show(f"ws://127.0.0.1:{wrong.port}/client", handoff, token, elsewhere=True)
        if dice < 0.12:
            await asyncio.gather(*(self._show(url, handoff, token) for _ in range(2)))
            return
        await self._show(url, handoff, token)
        if dice > 0.9:
            self._events["replays"] += 1
            await self._show(url, handoff, token)

    async def _show(self, url: str, handoff: str, token: str, *, elsewhere: bool = False) -> None:
        try:
            async with asyncio.timeout(_ARRIVAL_SECONDS), Socket(url) as socket:
                await socket.receive()
                socket.send({"type": "arrive", "token": token})
                answer = await socket.receive()
        except (Closed, TimeoutError):
            self._events["clientsCut"] += 1
            return
        if answer["type"] != "arrived":
            self._federation.tally.refusals[f"arrive:{answer.get('code')}"] += 1
            return
        self._events["arrivals"] += 1
        self._federation.redemptions.accept(handoff, url)
        if elsewhere:
            self._findings.add("tokensTwice", handoff, f"{url} took a token that is for another server")

    def _refused(self, answer: Answer) -> None:
        self._federation.tally.refusals[answer.code] += 1
