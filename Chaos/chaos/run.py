"""One run from the first process to the report."""

import asyncio
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos import audit
from chaos.api import Unreachable
from chaos.faults import Faults, disk_without_effect, without_effect
from chaos.federation import Federation, make_federation, portal
from chaos.plan import Fault
from chaos.players import Player
from chaos.servers import CannotRun
from chaos.watch import Watch

# When the faults are over: for what is on its way, for the ledgers to close, and for one crossing through each portal.
_WIND_DOWN_SECONDS = 60.0
_REST_SECONDS = 150.0
_LAST_CROSSING_SECONDS = 40.0
_ALWAYS_SHOWN = ("lost", "doubled", "stuck", "savesLost", "tokensTwice", "staleWrites", "worldsWrong", "disagreements")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `pause` is how many seconds a player stays, on average."""

    seed: int
    seconds: float
    players: int
    pause: float
    lossy: bool
    lies: bool
    binary: Path


@dataclass(frozen=True, slots=True)
class Report:
    members: dict[str, Any]
    is_good: bool


class _Progress:
    """One line on standard error that is written over, where a person looks at it."""

    def __init__(self, federation: Federation, order: Order) -> None:
        self._federation, self._order = federation, order
        self._shows = sys.stderr.isatty()
        self._last = ""

    def say(self, text: str) -> None:
        self._last = text
        self.show()

    def show(self) -> None:
        if not self._shows:
            return
        tally, findings = self._federation.tally, self._federation.findings
        text = (
            f"{tally.events['arrivals']} arrivals, {tally.faults.total()} faults, {len(findings.texts)} findings"
            f"  {self._last}"
        )
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shows:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


async def run(order: Order, plan: Sequence[Fault]) -> Report:
    """Everything is removed afterwards, unless something was found: then it stays, and the report says where."""
    if not order.binary.is_file():
        raise CannotRun(f"{order.binary} is not there — build it with make build, or name another in AETHER_BINARY")
    folder = Path(tempfile.mkdtemp(prefix="aether-chaos-"))
    chance = random.Random(f"run {order.seed}")
    federation: Federation | None = None
    stays = False
    try:
        # A copy, so that a build meanwhile changes nothing.
        binary = Path(shutil.copy(order.binary, folder / "aether"))
        federation = await make_federation(binary, folder, chance, lossy=order.lossy, lies=order.lies)
        report = await _run(order, plan, federation, folder, chance)
        stays = not report.is_good
        return report
    except BaseException:
        stays = federation is not None
        raise
    finally:
        if federation:
            await _put_away(federation, folder, stays=stays)
        if stays:
            (folder / "aether").unlink(missing_ok=True)
            print(f"Chaos/run: data directories and logs are kept in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _put_away(federation: Federation, folder: Path, *, stays: bool) -> None:
    for server in federation.servers.values():
        with suppress(Exception):
            await server.kill(random.Random(0)) if server.pid else None
        server.free()
        if stays:
            # The disk goes with this process; what is on it does not.
            shutil.copytree(server.data, folder / server.name, dirs_exist_ok=True)
        server.disk.remove()
    await federation.proxies.stop()


async def _run(
    order: Order, plan: Sequence[Fault], federation: Federation, folder: Path, chance: random.Random
) -> Report:
    players = [
        Player(
            f"p{number:03}",
            federation.names[number % 3],
            federation,
            random.Random(f"{order.seed} {number}"),
            order.pause,
        )
        for number in range(order.players)
    ]
    for player in players:
        await player.enter()
    progress = _Progress(federation, order)
    watch = Watch(federation)
    watched, played = asyncio.Event(), asyncio.Event()
    watching = asyncio.create_task(watch.run(watched))
    living = [asyncio.create_task(player.live(played)) for player in players]
    worlds = [asyncio.create_task(world.run(played)) for world in federation.worlds.values()]
    showing = asyncio.create_task(_show(progress))
    rest: float | None = None
    try:
        await Faults(federation, chance, progress.say).run(plan)
        progress.say("the faults are over")
        played.set()
        await _wind_down(living, federation)
        await _restart(federation)
        rest = await audit.come_to_rest(federation, _REST_SECONDS)
        watched.set()
        await watching
        progress.say("the audit")
        await _judge(federation, players, rest)
    except* (CannotRun, Unreachable) as problems:
        # A server that does not come back is a result; its players are stuck.
        for problem in _leaves(problems):
            federation.findings.add("stuck", "federation", str(problem))
    finally:
        for task in (watching, showing, *living, *worlds):
            task.cancel()
        await asyncio.gather(watching, showing, *living, *worlds, return_exceptions=True)
        progress.end()
    await federation.stop()
    tally = federation.tally
    idle = without_effect(plan, tally.faults, order.seconds)
    idle |= disk_without_effect(order.lossy, tally.events["changesLost"], tally.faults["kill"])
    for kind, text in idle.items():
        federation.findings.add("withoutEffect", kind, text)
        print(f"Chaos/run: {text}", file=sys.stderr)
    stored = await _judge_databases(federation, players)
    return _report(order, federation, stored, watch, rest, folder)


def _leaves(group: BaseExceptionGroup[Exception]) -> list[BaseException]:
    """The exceptions in a group and in the groups in it."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _show(progress: _Progress) -> None:
    while True:
        progress.show()
        await asyncio.sleep(0.5)


async def _wind_down(living: Sequence[asyncio.Task[None]], federation: Federation) -> None:
    """Lets every player end what they are doing."""
    done, waiting = await asyncio.wait(living, timeout=_WIND_DOWN_SECONDS)
    for task in waiting:
        task.cancel()
        federation.findings.add(
            "unanswered",
            "players",
            f"{len(waiting)} players had no answer {_WIND_DOWN_SECONDS:g} s after the last fault",
        )
    for task in done:
        task.result()
    try:
        async with asyncio.timeout(_WIND_DOWN_SECONDS):
            await federation.settled()
    except TimeoutError:
        federation.findings.add("unanswered", "saves", "late saves had no answer after the last fault")


async def _restart(federation: Federation) -> None:
    for server in federation.servers.values():
        async with server.changing:
            await server.stop()
            await server.start()


async def _judge(federation: Federation, players: Sequence[Player], rest: float | None) -> None:
    """What the servers say, and whether every portal lets a player through again."""
    findings = federation.findings
    if rest is None:
        findings.add("stuck", "federation", f"the servers do not come to rest within {_REST_SECONDS:g} s")
    for server in federation.servers.values():
        if server.api.unanswered:
            findings.add("unanswered", server.name, f"{server.name} left {server.api.unanswered} requests unanswered")
    if rest is not None:
        await _cross_once_more(federation)
        if await audit.come_to_rest(federation, _LAST_CROSSING_SECONDS) is None:
            findings.add("stuck", "federation", "the servers do not come to rest after the last crossings")
    for world in federation.worlds.values():
        await world.check()
    said = await audit.read_through_api(federation, players)
    judged = audit.Audit(said, players, findings, "API")
    judged.judge_players()
    await federation.stop()
    audit.compare(said, audit.read_databases(federation), findings)


async def _cross_once_more(federation: Federation) -> None:
    """One player goes through each portal; that is what all of it is for."""
    loop = asyncio.get_running_loop()
    for server in federation.servers.values():
        for other in federation.others(server.name):
            here = await server.api.get(f"/v1/worlds/{server.world}/players?limit=1")
            first = next(iter(here.json["players"]), None)
            if first is None:
                continue
            traveller = first["player"]
            departure = {"player": traveller, "epoch": first["epoch"]}
            deadline = loop.time() + _LAST_CROSSING_SECONDS
            while loop.time() < deadline:
                answer = await server.api.post(f"/v1/portals/{portal(other.name)}/travel", departure)
                there = await other.api.get(other.players_path(traveller))
                if there.status == 200 and there.json["presence"] == "playable":
                    break
                await asyncio.sleep(0.3)
            else:
                federation.findings.add(
                    "stuck",
                    traveller,
                    f"{traveller} cannot cross from {server.name} to {other.name}: {answer.body.decode()}",
                )


async def _judge_databases(federation: Federation, players: Sequence[Player]) -> audit.Books:
    stored = audit.read_databases(federation)
    judged = audit.Audit(stored, players, federation.findings, "SQLite")
    judged.judge_players()
    judged.judge_handoffs()
    return stored


def _refused_starts(federation: Federation) -> dict[str, int]:
    """What servers said when they did not start, which they may only while their disk is full."""
    found: Counter[str] = Counter()
    for server in federation.servers.values():
        for words, count in server.failed_starts.items():
            found[words.replace(str(server.data), "DATA")] += count
    return dict(found)


def _report(
    order: Order, federation: Federation, stored: audit.Books, watch: Watch, rest: float | None, folder: Path
) -> Report:
    findings, tally = federation.findings, federation.tally
    totals = audit.total(stored, tally.interrupted)
    members: dict[str, Any] = {
        "crossings": totals.crossings,
        "aborted": totals.aborted,
        "recovered": totals.recovered,
    }
    for kind in dict.fromkeys((*_ALWAYS_SHOWN, *sorted(findings.players))):
        members[kind] = findings.count(kind)
    members |= {
        "faults": dict(sorted(tally.faults.items())),
        "seed": order.seed,
        "seconds": order.seconds,
        "players": order.players,
        "lossyDisk": order.lossy,
        "saves": tally.events["saves"],
        "arrivals": tally.events["arrivals"],
        "refusedStarts": _refused_starts(federation),
        "changesLost": tally.events["changesLost"],
        "replays": tally.events["replays"],
        "staleSaves": tally.events["staleSaves"],
        "silences": tally.events["silences"],
        "samples": watch.rounds,
        "worldEvents": {
            name.removeprefix("world:"): count
            for name, count in sorted(tally.events.items())
            if name.startswith("world:")
        },
        "longestLimboSeconds": round(tally.longest_limbo, 1),
        "secondsToRest": None if rest is None else round(rest, 1),
        "refusals": dict(tally.refusals.most_common()),
    }
    if findings.any:
        members |= {"findings": findings.texts, "kept": str(folder)}
    return Report(members, not findings.any)
