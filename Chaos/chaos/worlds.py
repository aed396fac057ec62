"""The worlds: each follows the events of its own, decides who may enter, and knows by them alone who is there."""

import asyncio
import random
from contextlib import aclosing, suppress
from typing import Any

from chaos.api import Unreachable
from chaos.findings import Findings, Tally
from chaos.servers import Server

# How long it guards its world, or does not, before it changes its mind.
_MIND_SECONDS = (5.0, 20.0)
_REFUSED, _IGNORED = 0.04, 0.02
_AGREEMENT_SECONDS = 10.0


class World:
    """One world server. It follows events for as long as the connection lasts, and asks who is there when it is new."""

    def __init__(self, server: Server, findings: Findings, tally: Tally, chance: random.Random) -> None:
        self._server, self._findings, self._events = server, findings, tally.events
        self._chance = chance
        # Who is here, by the events.
        self.present: set[str] = set()
        self._can_follow = True

    async def run(self, over: asyncio.Event) -> None:
        """Follows until it is cancelled; guards now and then until `over`."""
        while self._can_follow:
            guards = not over.is_set() and self._chance.random() < 0.5
            patience = self._chance.uniform(*_MIND_SECONDS)
            with suppress(Unreachable, TimeoutError):
                async with asyncio.timeout(None if over.is_set() else patience):
                    await self._follow(guards)
            await asyncio.sleep(0.05)

    def entered(self, player: str) -> None:
        """A player of this world's own came back to it, of which there is no event."""
        self.present.add(player)

    async def check(self) -> None:
        """Whether what the events have told is what the server says; they may take a moment."""
        if not self._can_follow:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _AGREEMENT_SECONDS
        while (there := await self._listed()) != self.present:
            if loop.time() > deadline:
                for player in sorted(there ^ self.present):
                    here = "is here and no event told" if player in there else "is not here, whatever the events told"
                    self._findings.add("worldsWrong", player, f"in {self._server.world} {player} {here}")
                return
            await asyncio.sleep(0.1)

    async def _listed(self) -> set[str]:
        answer = await self._server.api.get(f"/v1/worlds/{self._server.world}/players?limit=1000")
        if answer.status != 200:
            raise Unreachable(answer.code)
        return {record["player"] for record in answer.json["players"]}

    async def _follow(self, guards: bool) -> None:
        path = f"/v1/worlds/{self._server.world}/events?guard={'true' if guards else 'false'}"
        async with aclosing(self._server.api.events(path)) as events:
            async for name, event in events:
                match name:
                    case "hello":
                        # Events from here on are waiting behind; those that the answer knows already change nothing.
                        self.present = await self._listed()
                    case "arriving":
                        await self._answer(event)
                    case "admitted":
                        self.present.add(event["player"])
                    case "departed" | "gone":
                        self.present.discard(event["player"])
                self._events[f"world:{name}"] += 1
        self._can_follow = self._server.api.has_events

    async def _answer(self, event: dict[str, Any]) -> None:
        """Lets a player in; a few are turned away, and a few stand before a door behind which nobody is."""
        dice = self._chance.random()
        if dice < _IGNORED:
            return
        answer = {"admit": True} if dice > _IGNORED + _REFUSED else {"admit": False, "reason": "the bridge is up"}
        path = f"/v1/worlds/{self._server.world}/arrivals/{event['handoff']}"
        with suppress(Unreachable):
            await self._server.api.post(path, answer)
