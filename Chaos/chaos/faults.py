"""Does to the servers what the plan says, and undoes it in time."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from chaos.api import Unreachable
from chaos.federation import Federation
from chaos.plan import Fault
from chaos.servers import Server

# A kill waits for a departure for at most so long.
_DEPARTURE_SECONDS = 1.0
# A server that is stopped or whose disk is full does not answer.
_ROTATION_SECONDS = 5.0
_ROTATION_TRIES = 3
# A run of so many seconds has to show every kind of fault that was planned so often; fewer can all fall on a server that is
# down.
_LONG_SECONDS = 120.0
_OFTEN = 4


def without_effect(plan: Sequence[Fault], taken: Mapping[str, int], seconds: float) -> dict[str, str]:
    """Kinds of faults that were planned and never took effect, with a line about each: such a run has proven less than it
    says. `taken` is how often each kind did."""
    if seconds < _LONG_SECONDS:
        return {}
    planned = Counter("kill" if fault.kind == "blackout" else fault.kind for fault in plan)
    return {
        kind: f"{count} faults of kind '{kind}' were planned and none took effect: see Chaos/README.md for what each needs"
        for kind, count in sorted(planned.items())
        if count >= _OFTEN and not taken.get(kind)
    }


def disk_without_effect(lossy: bool, lost: int, kills: int) -> dict[str, str]:
    """A line about a lossy disk that has lost nothing: such a run shows what one without it shows. `lost` counts the changes
    that were undone, `kills` the processes that were killed."""
    if not lossy or lost > 0:
        return {}
    return {
        "lossyDisk": f"the lossy disk has lost nothing in {kills} kills, so that the run shows nothing about it: "
        "run it for longer, or with another seed"
    }


class Faults:
    """Carries out a plan. Faults overlap as they come; each undoes exactly what it has done."""

    def __init__(self, federation: Federation, chance: random.Random, told: Callable[[str], None]) -> None:
        self._federation, self._chance, self._told = federation, chance, told
        # How many faults of a kind hold a server or way now: the last one to end lets go.
        self._holds: dict[tuple[str, ...], int] = {}

    async def run(self, plan: Sequence[Fault]) -> None:
        """Ends when the last fault is over."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for fault in plan:
                await asyncio.sleep(max(0.0, began + fault.at - loop.time()))
                self._told(str(fault))
                group.create_task(self._inflict(fault))

    async def _inflict(self, fault: Fault) -> None:
        servers = [self._federation.servers[name] for name in fault.servers]
        match fault.kind:
            case "kill" | "blackout":
                async with asyncio.TaskGroup() as group:
                    for server in servers:
                        group.create_task(self._kill(server, fault))
            case "restart":
                await self._restart(servers[0], fault)
            case "rotate":
                await self._rotate(servers[0])
            case "stop":
                await self._hold(
                    fault, lambda: servers[0].signal(signal.SIGSTOP), lambda: servers[0].signal(signal.SIGCONT)
                )
            case "disk":
                await self._hold(fault, servers[0].fill, servers[0].free)
            case "clock":
                await self._hold(fault, lambda: servers[0].set_clock(fault.amount), lambda: servers[0].set_clock(0))
            case _:
                await self._trouble(fault)

    def _count(self, kind: str, took_effect: bool) -> None:
        if took_effect:
            self._federation.tally.faults[kind] += 1

    async def _kill(self, server: Server, fault: Fault) -> None:
        if server.changing.locked():
            # Another fault has ended it and has not started it yet.
            return
        async with server.changing:
            server.departure.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_DEPARTURE_SECONDS):
                    await server.departure.wait()
            await asyncio.sleep(fault.amount)
            self._count("kill", await server.kill(self._chance))
            await asyncio.sleep(fault.seconds)
            await server.start()

    async def _restart(self, server: Server, fault: Fault) -> None:
        if server.changing.locked():
            return
        async with server.changing:
            self._count("restart", await server.stop())
            await asyncio.sleep(fault.seconds)
            await server.start()

    async def _rotate(self, server: Server) -> None:
        """A server that is down or hangs keeps its key for now: it is asked again."""
        for _ in range(_ROTATION_TRIES):
            with suppress(Unreachable, TimeoutError):
                async with asyncio.timeout(_ROTATION_SECONDS):
                    answer = await server.api.post("/v1/keys/rotate", {})
                    if answer.status == 200:
                        self._count("rotate", True)
                        return
            await asyncio.sleep(1)

    async def _trouble(self, fault: Fault) -> None:
        """What happens to the connections between two servers."""
        first, second = fault.servers
        link = self._federation.proxies.link(first, second)
        match fault.kind:
            case "cut":
                self._count("cut", link.cut())
                await asyncio.sleep(fault.seconds)
                link.mend()
            case "stall":
                way = link.way(first, second)

                def stall() -> bool:
                    way.moving.clear()
                    return link.is_open

                await self._hold(fault, stall, way.moving.set)
            case _:
                self._count("delay", link.is_open)
                for way in link.ways.values():
                    way.delay += fault.amount
                await asyncio.sleep(fault.seconds)
                for way in link.ways.values():
                    way.delay -= fault.amount

    async def _hold(self, fault: Fault, begin: Callable[[], bool], end: Callable[[], object]) -> None:
        key = (fault.kind, *fault.servers)
        self._holds[key] = self._holds.get(key, 0) + 1
        self._count(fault.kind, begin())
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            self._holds[key] -= 1
            if self._holds[key] == 0:
                end()
