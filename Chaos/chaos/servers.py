"""One real `aether serve`: its data directory, its process, and its worst days."""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

from chaos.api import Api, Unreachable
from chaos.disks import Disk
from chaos.findings import Findings, Tally
from chaos.lossy import LossyDisk

_START_SECONDS = 60.0
_STOP_SECONDS = 40.0
# To write down where a process has crashed, and how much of what it said is looked at for that.
_BACKTRACE_SECONDS = 120.0
_LAST_BYTES = 4096
DATABASE = "federation.sqlite3"
OPEN_STATES = ("prepared", "reserved", "committed")


class CannotRun(Exception):
    """The chaos cannot begin, or a server does not come back."""


def free_port(chance: random.Random) -> int:
    """A port that nobody has now, outside the range from which the system gives ports to others."""
    for _ in range(1000):
        port = chance.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CannotRun("no free port was found between 20000 and 32000")


class Server:
    """A server's process and what surrounds it. Only one task at a time starts or ends it: who holds `changing`."""

    def __init__(self, name: str, port: int, disk: Disk, folder: Path, findings: Findings, tally: Tally) -> None:
        self.name, self.port, self.disk = name, port, disk
        self.world = f"{name}-world"
        self.data = disk.path / "data"
        self.clock_file = folder / f"{name}.clock"
        self.log_file = folder / f"{name}.log"
        self.lossy: LossyDisk | None = None
        self.changing = asyncio.Lock()
        self.is_full = False
        # What it said when it did not start, and how often.
        self.failed_starts: Counter[str] = Counter()
        # Set when a player sets out from here or to here.
        self.departure = asyncio.Event()
        self._findings, self._tally = findings, tally
        self._process: asyncio.subprocess.Process | None = None
        # The process that was ended on purpose, last.
        self._ended: asyncio.subprocess.Process | None = None
        # How often its disk was made full.
        self._fillings = 0
        # Where in its log the process begins.
        self._log_start = 0
        self._guard: asyncio.Task[None] | None = None
        self.api = Api(port, "")

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    def players_path(self, player: str) -> str:
        return f"/v1/worlds/{self.world}/players/{player}"

    async def initialise(self, binary: Path) -> None:
        self._binary = binary
        done = subprocess.run(
            [
                binary,
                "init",
                "--id",
                self.name,
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--endpoint",
                f"ws://127.0.0.1:{self.port}",
                "--data",
                str(self.data),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise CannotRun(f"aether init failed: {done.stderr.strip()}")
        self.api = Api(self.port, (self.data / "admin.key").read_text().strip())

    def dial(self, addresses: dict[str, str]) -> None:
        """Where it reaches each of its peers, from its next start on."""
        file = self.data / "aether.json"
        settings = json.loads(file.read_text())
        settings["dial"] = [f"{name}={endpoint}" for name, endpoint in sorted(addresses.items())]
        file.write_text(json.dumps(settings))

    async def start(self, within: float = _START_SECONDS) -> None:
        """Starts it until it answers; one that cannot start while its disk is full is started again."""
        deadline = asyncio.get_running_loop().time() + within
        # Before it begins, while it lasts, or at its end: it may have been full for a part of it only.
        was_full, fillings = self.is_full, self._fillings
        while not await self._try_start():
            self.failed_starts[self.last_words()] += 1
            if not was_full and self._fillings == fillings:
                self._findings.add("failedStarts", self.name, f"{self.name} does not start: {self.last_words()}")
            was_full, fillings = self.is_full, self._fillings
            if asyncio.get_running_loop().time() > deadline:
                raise CannotRun(f"{self.name} does not start: {self.last_words()}")
            await asyncio.sleep(0.3)

    async def _try_start(self) -> bool:
        arguments = [
            "serve",
            "--data",
            str(self.data),
            "--heartbeat-interval",
            "0.5",
            "--degraded-after",
            "3",
            "--unreachable-after",
            "10",
            "--end-with-input",
            "--clock-file",
            str(self.clock_file),
        ]
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                self._binary,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | (self.lossy.environment if self.lossy else {}),
                # Python ignores SIGXFSZ and so does the child: a write over the limit is an error, not the end.
                restore_signals=False,
            )
        if self.is_full:
            self.disk.fill(self._process.pid)
        while self._process.returncode is None:
            with suppress(Unreachable):
                answer = await self.api.request("GET", "/.well-known/aether-federation")
                if answer.status == 200:
                    self._guard = asyncio.create_task(self._mind(self._process))
                    return True
            await asyncio.sleep(0.02)
        return False

    async def _mind(self, process: asyncio.subprocess.Process) -> None:
        """Says so when it ends although nobody has ended it, and starts it again."""
        code = await process.wait()
        if process is self._ended:
            return
        self._findings.add("crashes", self.name, f"{self.name} ended by itself with {code}: {self.last_words()}")
        async with self.changing:
            if self._process is process:
                self.api.forget()
                await self.start()

    async def kill(self, chance: random.Random) -> bool:
        """Ends it with SIGKILL, and with it what its disk had not yet written down. Whether it ran."""
        process = self._process
        if process is None or process.returncode is not None:
            return False
        if await self._crashes(process):
            return False
        self._ended = process
        process.kill()
        await process.wait()
        self.api.forget()
        if self.lossy:
            self.disk.free(None)
            self._tally.events["changesLost"] += await asyncio.to_thread(self.lossy.lose, chance)
            if self.is_full:
                self.disk.fill(None)
        self._tally.interrupted |= await asyncio.to_thread(self.open_handoffs)
        return True

    async def _crashes(self, process: asyncio.subprocess.Process) -> bool:
        """Whether it has crashed and its runtime writes down where, which takes a while: then it is let do that, and is not
        taken for one that was killed."""
        with self.log_file.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - _LAST_BYTES))
            if b"*** Signal " not in log.read():
                return False
        try:
            async with asyncio.timeout(_BACKTRACE_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self.api.forget()
        return True

    def retire(self) -> None:
        """It is not started again, whatever it ended by."""
        self._process = None

    def signal(self, number: signal.Signals) -> bool:
        """Whether there was a process to send it to."""
        if self._process is None or self._process.returncode is not None:
            return False
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return False
        return True

    async def stop(self) -> bool:
        """Asks it to end, and says so when it does not or not well. Whether it ran."""
        process = self._process
        if process is None or process.returncode is not None:
            return False
        if await self._crashes(process):
            return False
        self._ended = process
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                code = await process.wait()
        except TimeoutError:
            self._findings.add("badStops", self.name, f"{self.name} did not end within {_STOP_SECONDS:g} s of SIGTERM")
            process.kill()
            await process.wait()
        else:
            if code != 0:
                self._findings.add("badStops", self.name, f"{self.name} ended with {code}: {self.last_words()}")
        self.api.forget()
        if self.lossy:
            self.lossy.settle()
        return True

    def fill(self) -> bool:
        """Whether its disk is full for a process that runs now; one that starts meanwhile finds it full as well."""
        self.is_full = True
        self._fillings += 1
        return self.disk.fill(self.pid) and self.pid is not None

    def free(self) -> None:
        self.is_full = False
        self.disk.free(self.pid)

    def set_clock(self, seconds: float) -> bool:
        """Adds to its wall clock; 0 puts it right. Whether a process runs whose clock that is."""
        if seconds == 0:
            self.clock_file.unlink(missing_ok=True)
            return self.pid is not None
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(f"{seconds}")
        fresh.rename(self.clock_file)
        return self.pid is not None

    def open_handoffs(self) -> set[str]:
        """What stands open on the disk of the process that has ended. A copy is read, so that nothing here mends it."""
        found = self._query(f"SELECT id FROM handoffs WHERE state IN {OPEN_STATES}")
        return {str(row[0]) for row in found}

    def _query(self, question: str) -> list[tuple[object, ...]]:
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ("", "-wal"):
                with suppress(FileNotFoundError):
                    shutil.copy(f"{self.data / DATABASE}{suffix}", folder)
            with closing(sqlite3.connect(Path(folder) / DATABASE)) as database:
                try:
                    return database.execute(question).fetchall()
                except sqlite3.Error:
                    return []

    def last_words(self) -> str:
        lines = self.log_file.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
