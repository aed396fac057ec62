"""What a server does on an established channel: it answers, and it asks."""

import asyncio
from collections.abc import Callable
from time import time
from typing import Any

from .channel import Channel, ChannelClosed, now_ms
from .closing import ChannelFailure, name_of
from .crossing import Crossings, Departure
from .identity import Identity
from .worlds import Library

ANSWER_SECONDS = 30.0
Report = Callable[[dict[str, Any]], None]
Body = tuple[str, dict[str, Any]]


class Rejected(Exception):
    """The destination refused a crossing, with its code."""


class Session:
    """Runs a channel. Start `run` as a task; it returns when the channel is over."""

    def __init__(
        self,
        channel: Channel,
        identity: Identity,
        library: Library | None = None,
        report: Report = lambda event: None,
    ) -> None:
        self.channel = channel
        self.library = library or Library()
        self.crossings = Crossings(identity, self.library)
        self.close_code: int | None = None
        self.identity = identity
        self._report = report
        self._waiting: list[tuple[Callable[[str, dict[str, Any]], bool], asyncio.Future[Body]]] = []
        self._sequence = 0

    async def run(self) -> None:
        try:
            while True:
                body, values = await self.channel.receive()
                self._report({"event": "received", "frame": body})
                self._hand_out(body, values)
                await self._answer(body, values)
        except ChannelClosed as closed:
            self.close_code = closed.code
            self._report(closed.event())
            self._fail(closed)
        except ChannelFailure as failure:
            self.close_code = failure.code
            self._report({"event": "closed", "by": "us", "code": int(failure.code), "name": name_of(failure.code)})
            self._fail(failure)

    async def heartbeat(self) -> None:
        """Sends one and waits until it came back unchanged."""
        self._sequence += 1
        sent = {"sequence": self._sequence, "sent_at_ms": now_ms()}
        answer = self.when(lambda body, values: body == "acknowledgement" and values == sent)
        await self.channel.send("heartbeat", **sent)
        await answer
        self._report({"event": "acknowledged", "sequence": self._sequence})

    async def depart(self, departure: Departure) -> None:
        """Takes a player through: offer, accept, commit, admitted."""
        peer, handoff_id = self.channel.completed, departure.handoff_id
        self.crossings.departures[handoff_id] = departure
        answered = self._answer_for(handoff_id, "accept", "reject")
        token = departure.token(self.identity, peer.peer, int(time()))
        await self.channel.send("offer", handoff_id=handoff_id, token=token, snapshot=departure.snapshot)
        body, values = await answered
        if body == "reject":
            departure.state = "aborted"
            raise Rejected(f"{values['code']} {values['reason']}")
        self.crossings.decide(departure, peer.peer)
        await self.commit(departure)

    async def commit(self, departure: Departure) -> str:
        """Says that the decision is made, and returns the receipt. May be repeated."""
        peer = self.channel.completed
        answered = self._answer_for(departure.handoff_id, "admitted", "reject")
        token = departure.token(self.identity, peer.peer, int(time()))
        await self.channel.send("commit", handoff_id=departure.handoff_id, token=token)
        body, values = await answered
        if body == "reject":
            raise Rejected(f"{values['code']} {values['reason']}")
        departure.complete(values["receipt"], peer.peer, peer.peer_key)
        return values["receipt"]

    def when(self, wanted: Callable[[str, dict[str, Any]], bool]) -> "asyncio.Future[Body]":
        """The next frame that is wanted; ask before sending what it answers."""
        future: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, future))
        return asyncio.ensure_future(asyncio.wait_for(future, ANSWER_SECONDS))

    def _answer_for(self, handoff_id: bytes, *bodies: str) -> "asyncio.Future[Body]":
        return self.when(lambda body, values: body in bodies and values["handoff_id"] == handoff_id)

    def _hand_out(self, body: str, values: dict[str, Any]) -> None:
        for entry in list(self._waiting):
            wanted, future = entry
            if future.done():
                self._waiting.remove(entry)
            elif wanted(body, values):
                self._waiting.remove(entry)
                future.set_result((body, values))

    def _fail(self, error: Exception) -> None:
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()

    async def _answer(self, body: str, values: dict[str, Any]) -> None:
        peer, key, now = self.channel.completed.peer, self.channel.completed.peer_key, int(time())
        match body:
            case "heartbeat":
                await self.channel.send("acknowledgement", **values)
            case "world_request":
                await self.channel.send("world_response", **self.library.answer_world(values))
            case "asset_request":
                await self.channel.send("asset_response", **self.library.answer_asset(values))
            case "offer":
                await self._say(self.crossings.offer(values, peer, key, now))
            case "commit":
                await self._say(self.crossings.commit(values, peer, key, now))
            case "abort":
                self.crossings.abort(values)
            case "query":
                await self._say(self.crossings.query(values, peer, now))

    async def _say(self, answer: Body) -> None:
        body, values = answer
        self._report({"event": "sent", "frame": body})
        await self.channel.send(body, **values)
