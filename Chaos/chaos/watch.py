"""The continuous check that no two servers say at the same moment that a player can play."""

import asyncio
from collections import deque
from dataclasses import dataclass

from chaos.api import Unreachable
from chaos.federation import Federation
from chaos.servers import Server

_PAUSE_SECONDS = 0.05
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """Who could play at one server, and with which epoch, at some moment between a question and its answer."""

    server: str
    epochs: dict[str, int]


class Watch:
    """Asks one server after the other, never two at once, so that the order of the answers is the order of the moments.

    A player who can play at one server in two of its samples with the same epoch has been that server's all the time
    in between: a departure would have raised the epoch. If another server says in between that they can play there,
    both did at the same moment. Nothing less is reported.
    """

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._samples: deque[Sample] = deque(maxlen=_REMEMBERED)
        self.rounds = 0

    async def run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            for server in self._federation.servers.values():
                try:
                    sample = await self._take(server)
                except Unreachable:
                    continue
                self.compare(sample)
            self.rounds += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    def compare(self, sample: Sample) -> None:
        """Judges what lies between this sample and the last one of the same server, and remembers it."""
        between: list[Sample] = []
        for earlier in reversed(self._samples):
            if earlier.server == sample.server:
                self._judge(earlier, between, sample)
                break
            between.append(earlier)
        self._samples.append(sample)

    def _judge(self, earlier: Sample, between: list[Sample], later: Sample) -> None:
        for player, epoch in later.epochs.items():
            if earlier.epochs.get(player) != epoch:
                continue
            for other in between:
                if player in other.epochs:
                    self._federation.findings.add(
                        "doubled",
                        player,
                        f"{player} was playable at {later.server} with epoch {epoch} and at {other.server} with epoch"
                        f" {other.epochs[player]} at the same moment",
                    )

    @staticmethod
    async def _take(server: Server) -> Sample:
        answer = await server.api.get(f"/v1/worlds/{server.world}/players?limit=1000")
        if answer.status != 200:
            raise Unreachable(f"status {answer.status}")
        return Sample(
            server.name,
            {
                record["player"]: int(record["epoch"])
                for record in answer.json["players"]
                if record["presence"] == "playable"
            },
        )
