"""That the harness itself can tell right from wrong: `python3 -m unittest discover Chaos/tests`, PYTHONPATH=Chaos."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import unittest
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from chaos.audit import Audit, Books, Handoff, Kept
from chaos.disks import LimitedDisk, MemoryDisk
from chaos.faults import Faults, disk_without_effect, without_effect
from chaos.federation import NAMES, Federation
from chaos.findings import Findings, Redemptions, Tally
from chaos.lossy import LossyDisk, build_shim
from chaos.plan import Fault, make_plan
from chaos.players import Player
from chaos.proxy import Proxies
from chaos.servers import Server
from chaos.watch import Sample, Watch


def _federation() -> Federation:
    findings = Findings()
    return Federation({}, Proxies(NAMES, lambda _: 0), findings, Tally(), Redemptions(findings))


class Plans(unittest.TestCase):
    def test_the_same_seed_gives_the_same_plan_and_all_of_it_is_over_in_time(self) -> None:
        for seed in range(20):
            plan = make_plan(seed, 60, NAMES)
            self.assertEqual(plan, make_plan(seed, 60, NAMES))
            self.assertNotEqual(plan, make_plan(seed + 1, 60, NAMES))
            self.assertLessEqual(max(fault.at + fault.seconds for fault in plan), 60)


class Watching(unittest.TestCase):
    # Samples in the order of their moments: a server, and the epoch with which the player can play there or None; and
    # whether that is certainly a double.
    cases: ClassVar[list[tuple[str, list[tuple[str, int | None]], bool]]] = [
        ("one place all the time", [("a", 1), ("b", None), ("a", 1)], False),
        ("two places at one moment", [("a", 1), ("b", 2), ("a", 1)], True),
        ("there and back between two samples", [("a", 1), ("b", 2), ("a", 3)], False),
        ("moved between two samples", [("a", 1), ("b", 2), ("a", None)], False),
        ("seen at the third server", [("a", 1), ("b", None), ("c", 1), ("a", 1)], True),
        ("not looked at in between", [("a", 1), ("a", 1), ("b", 2)], False),
    ]

    def test_only_certain_doubles_are_reported(self) -> None:
        for name, samples, is_double in self.cases:
            with self.subTest(name):
                federation = _federation()
                watch = Watch(federation)
                for server, epoch in samples:
                    watch.compare(Sample(server, {} if epoch is None else {"p@a": epoch}))
                self.assertEqual(federation.findings.count("doubled") == 1, is_double)


class Auditing(unittest.TestCase):
    # One player of alder who has gone to birch.
    away = Kept("alder", "departed", 2, 3, "alder-world", "")
    here = Kept("birch", "playable", 2, 3, "birch-world", "aa")
    source = Handoff("1", "alder", "source", "completed", "p@alder", "birch", 2, 3, "aa")
    destination = Handoff("1", "birch", "destination", "admitted", "p@alder", "alder", 2, 3, "aa")

    def _judge(self, kept: list[Kept], handoffs: list[Handoff]) -> set[str]:
        findings = Findings()
        player = Player("p", "alder", _federation(), random.Random(0), 1)
        audit = Audit(Books({"p@alder": {one.server: one for one in kept}}, handoffs), [player], findings, "test")
        audit.judge_players()
        audit.judge_handoffs()
        return set(findings.players)

    def test_each_kind_of_broken_promise_is_found_and_nothing_else(self) -> None:
        good = [self.source, self.destination]
        cases = {
            "all is well": ([self.away, self.here], good, set()),
            "nowhere": ([self.away], good, {"lost", "disagreements"}),
            "twice": ([replace(self.away, presence="playable"), self.here], good, {"doubled"}),
            "frozen": ([self.away, replace(self.here, presence="departing")], good, {"stuck"}),
            "newer elsewhere": ([replace(self.away, epoch=3), self.here], good, {"disagreements"}),
            "state of before": ([self.away, replace(self.here, revision=2)], good, {"disagreements"}),
            "open": (
                [self.away, self.here],
                [replace(self.source, state="committed"), self.destination],
                {"stuck", "disagreements"},
            ),
            "one-sided": (
                [self.away, self.here],
                [self.source, replace(self.destination, state="aborted")],
                {"disagreements"},
            ),
            "other state": (
                [self.away, self.here],
                [self.source, replace(self.destination, digest="bb")],
                {"disagreements"},
            ),
            "no receipt from there": ([self.away, self.here], [self.source], {"disagreements"}),
            "called off on both sides": (
                [replace(self.away, presence="playable", epoch=1)],
                [replace(self.source, state="aborted"), replace(self.destination, state="aborted")],
                set(),
            ),
        }
        for name, (kept, handoffs, expected) in cases.items():
            with self.subTest(name):
                self.assertEqual(self._judge(kept, handoffs), expected)


class Counting(unittest.IsolatedAsyncioTestCase):
    """Only faults that took effect are counted."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.federation = _federation()
        self.disk = LimitedDisk(Path(folder.name) / "alder")
        for name in NAMES:
            disk = self.disk if name == "alder" else LimitedDisk(Path(folder.name) / name)
            self.federation.servers[name] = Server(
                name, 1, disk, Path(folder.name), self.federation.findings, self.federation.tally
            )

    async def _run(self, *faults: Fault) -> dict[str, int]:
        await Faults(self.federation, random.Random(0), lambda _: None).run(faults)
        return dict(self.federation.tally.faults)

    async def test_nothing_counts_that_is_done_to_servers_that_do_not_run_and_links_that_carry_nothing(self) -> None:
        faults = [Fault(0, kind, ("alder",), 0.01, 1) for kind in ("stop", "disk", "clock")]
        faults += [Fault(0, kind, ("alder", "birch"), 0.01, 0.01) for kind in ("cut", "stall", "delay")]
        self.assertEqual(await self._run(*faults), {})
        server = self.federation.servers["alder"]
        self.assertFalse(await server.kill(random.Random(0)) or await server.stop())

    async def test_what_is_done_to_a_running_server_counts(self) -> None:
        server = self.federation.servers["alder"]
        server._process = await asyncio.create_subprocess_exec("sleep", "60")
        server.log_file.touch()
        faults = [Fault(0, kind, ("alder",), 0.05, 1) for kind in ("stop", "disk", "clock")]
        self.assertEqual(await self._run(*faults), {"stop": 1, "disk": 1, "clock": 1})
        server._process.kill()
        await server._process.wait()
        self.assertFalse(server.signal(signal.SIGSTOP))

    async def test_one_that_crashes_is_let_say_where_and_counts_as_crashed(self) -> None:
        server = self.federation.servers["alder"]
        for said, is_killed in [("a line\n", True), ("a line\n*** Signal 11: Backtracing from 0x1...", False)]:
            with self.subTest(said):
                server.log_file.write_text(said)
                server._process = process = await asyncio.create_subprocess_exec("sleep", "60" if is_killed else "0.2")
                self.assertEqual(await server.kill(random.Random(0)), is_killed)
                self.assertEqual(server._ended is process, is_killed)
                self.assertEqual(process.returncode, -signal.SIGKILL if is_killed else 0)

    async def test_a_link_that_carries_something_can_be_cut_once(self) -> None:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        target = await asyncio.start_server(hold, "127.0.0.1", 0)
        proxies = Proxies(["alder", "birch"], lambda _: target.sockets[0].getsockname()[1])
        await proxies.start()
        port = int(proxies.endpoint("alder", "birch").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        link = proxies.link("alder", "birch")
        while not link.is_open:
            await asyncio.sleep(0.01)
        self.assertTrue(link.cut())
        with suppress(ConnectionError):
            await reader.read()
        while link.is_open:
            await asyncio.sleep(0.01)
        self.assertFalse(link.cut())
        writer.close()
        await proxies.stop()
        target.close()

    def test_a_disk_that_cannot_be_made_full_says_so(self) -> None:
        disk = MemoryDisk.__new__(MemoryDisk)
        disk.path = self.disk.path
        tried: list[int] = []
        for outcome in (False, True):
            disk._resize = lambda size, outcome=outcome: tried.append(size) or outcome  # type: ignore[method-assign]
            self.assertEqual(disk.fill(None), outcome)
        self.assertEqual(len(tried), 4 + 1)
        self.assertFalse(self.disk.fill(None))

    def test_a_long_run_in_which_a_kind_never_took_effect_has_failed(self) -> None:
        plan = [Fault(number, kind, ("alder",), 1) for number in range(4) for kind in ("disk", "kill", "blackout")]
        plan.append(Fault(9, "rotate", ("alder",), 0))
        self.assertEqual(set(without_effect(plan, {"kill": 1}, 120)), {"disk"})
        self.assertEqual(set(without_effect(plan, {"disk": 1}, 120)), {"kill"})
        self.assertEqual(without_effect(plan, {"kill": 1, "disk": 2}, 120), {})
        self.assertEqual(without_effect(plan, {}, 119), {})

    def test_a_run_on_a_lossy_disk_that_lost_nothing_has_failed_however_short_it_was(self) -> None:
        self.assertEqual(set(disk_without_effect(lossy=True, lost=0, kills=7)), {"lossyDisk"})
        self.assertIn("nothing in 7 kills", disk_without_effect(lossy=True, lost=0, kills=7)["lossyDisk"])
        self.assertEqual(disk_without_effect(lossy=True, lost=1, kills=7), {})
        self.assertEqual(disk_without_effect(lossy=False, lost=0, kills=7), {})


class Losing(unittest.TestCase):
    """A process writes with the shim preloaded and is killed; what it had synchronised stays."""

    script = """
import os, signal
os.chdir(os.environ["LOSSY_DIR"])
def put(name, text, flags=os.O_WRONLY | os.O_CREAT, at=0, sync=False):
    file = os.open(name, flags, 0o600)
    os.pwrite(file, text, at)
    if sync: os.fsync(file)
    os.close(file)
def sync_names():
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)
put("kept", b"0123456789", sync=True)
put("replaced", b"old", sync=True)
put("removed", b"still here", sync=True)
put("emptied", b"full", sync=True)
sync_names()
put("kept", b"ABCD", at=2)
put("kept", b"longer", at=10)
put("emptied", b"", flags=os.O_WRONLY | os.O_TRUNC)
put("fresh", b"new", sync=True)
os.rename("fresh", "replaced")
os.unlink("removed")
put("named", b"nobody synchronised the name", sync=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

    def test_everything_that_was_not_synchronised_can_be_lost_and_nothing_else(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shim, found = build_shim(folder), set()
            for seed in range(40):
                data = folder / str(seed) / "data"
                data.mkdir(parents=True)
                disk = LossyDisk(shim, data, folder / "undo", folder / str(seed) / "kept", lies=False)
                ended = subprocess.run(
                    [sys.executable, "-c", self.script], env=os.environ | disk.environment, check=False
                )
                self.assertEqual(ended.returncode, -signal.SIGKILL)
                disk.lose(random.Random(seed))
                left = {path.name: path.read_bytes() for path in data.iterdir()}
                self.assertEqual(left["kept"][:2] + left["kept"][6:10], b"016789")
                self.assertIn(left["replaced"], (b"old", b"new"))
                self.assertIn(left["emptied"], (b"full", b""))
                self.assertEqual(left.get("removed", b"still here"), b"still here")
                found |= set(left.items())
            for outcome in [
                ("kept", b"0123456789"),
                ("kept", b"01ABCD6789longer"),
                ("kept", b"01A3456789"),
                ("replaced", b"old"),
                ("emptied", b"full"),
                ("removed", b"still here"),
                ("fresh", b"new"),
            ]:
                self.assertIn(outcome, found)


if __name__ == "__main__":
    unittest.main()
