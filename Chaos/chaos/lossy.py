"""The disk that loses un-fsynced writes: what `lossydisk.c` has noted is undone, in part, after a SIGKILL."""

import os
import random
import shutil
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct("=IIQqqIIII")
_MAGIC = 0x4C4F5353
# As on a disk with a write cache that is not trusted; a power cut is likely to fall into it.
_FSYNC_MICROSECONDS = 3000


class NoCompiler(Exception):
    """The shim cannot be built."""


def build_shim(folder: Path) -> Path:
    """Compiles the shim with cc, gcc or clang."""
    source = Path(__file__).parents[1] / "lossydisk.c"
    target = folder / "lossydisk.so"
    for compiler in ("cc", "gcc", "clang"):
        if shutil.which(compiler):
            subprocess.run(
                [compiler, "-O2", "-shared", "-fPIC", "-o", str(target), str(source), "-ldl", "-lpthread"], check=True
            )
            return target
    raise NoCompiler("the lossy disk needs a C compiler — install gcc or clang, or leave out --lossy-disk")


@dataclass(frozen=True, slots=True)
class _Change:
    kind: str
    # The inode: of a file, or of the directory whose names changed.
    file: int
    offset: int
    size: int
    path: str
    other: str
    old: bytes
    # Bytes that were to be written.
    length: int


class LossyDisk:
    """One server's: what it may have to undo, and the undoing."""

    def __init__(self, shim: Path, data: Path, log: Path, keep: Path, *, lies: bool) -> None:
        self._data, self._log, self._keep, self._lies = data, log, keep, lies
        keep.mkdir()
        self.environment = {
            "LD_PRELOAD": str(shim),
            "LOSSY_DIR": str(data),
            "LOSSY_LOG": str(log),
            "LOSSY_KEEP": str(keep),
            "LOSSY_FSYNC_MICROSECONDS": str(_FSYNC_MICROSECONDS),
        } | ({"LOSSY_IGNORE_FSYNC": "1"} if lies else {})

    def lose(self, chance: random.Random) -> int:
        """Undoes a random part of what the ended process had not synchronised, and answers how many changes.

        Of each file a random suffix goes, and the last change that stays may be torn; no file waits for another.
        A disk that lies about fsync loses the end of everything at one moment, so that what is left is a database.
        """
        pending = self._pending()
        undone = self._undo_since(pending, chance) if self._lies else self._undo_each(pending, chance)
        for shared in self._data.glob("*-shm"):
            shared.unlink()
        self.settle()
        return undone

    def settle(self) -> None:
        """Takes the disk as it is now for durable."""
        with suppress(FileNotFoundError):
            self._log.unlink()
        for kept in self._keep.iterdir():
            kept.unlink()

    def _pending(self) -> list[_Change]:
        pending: list[_Change | None] = []
        by_file: dict[int, list[int]] = defaultdict(list)
        for change in self._read():
            if change.kind == "S":
                for index in by_file.pop(change.file, []):
                    pending[index] = None
            else:
                by_file[change.file].append(len(pending))
                pending.append(change)
        return [change for change in pending if change]

    def _read(self) -> Iterator[_Change]:
        if not self._log.exists():
            return
        with self._log.open("rb") as log:
            while len(head := log.read(_HEAD.size)) == _HEAD.size:
                magic, kind, file, offset, size, path, other, old, length = _HEAD.unpack(head)
                if magic != _MAGIC:
                    raise ValueError(f"{self._log} is damaged")
                body = log.read(path + other + old)
                if len(body) < path + other + old:
                    # The process died while it was noting; the change was not made.
                    return
                yield _Change(
                    chr(kind),
                    file,
                    offset,
                    size,
                    body[:path].decode(),
                    body[path : path + other].decode(),
                    body[path + other :],
                    length,
                )

    def _undo_each(self, pending: list[_Change], chance: random.Random) -> int:
        by_file: dict[int, list[_Change]] = defaultdict(list)
        for change in pending:
            by_file[change.file].append(change)
        lost: set[int] = set()
        torn: set[int] = set()
        for changes in by_file.values():
            kept = chance.randint(0, len(changes))
            lost |= {id(change) for change in changes[kept:]}
            if kept > 0 and chance.random() < 0.5:
                torn.add(id(changes[kept - 1]))
        for change in reversed(pending):
            if id(change) in lost:
                self._undo(change)
            elif id(change) in torn and change.kind == "W" and change.length:
                self._tear(change, chance)
        return len(lost)

    def _undo_since(self, pending: list[_Change], chance: random.Random) -> int:
        kept = chance.randint(0, len(pending))
        for change in reversed(pending[kept:]):
            self._undo(change)
        return len(pending) - kept

    def _undo(self, change: _Change) -> None:
        """Puts back what was there before."""
        with suppress(FileNotFoundError):
            match change.kind:
                case "W" | "T":
                    if path := self._path(change):
                        with open(path, "r+b") as file:
                            file.seek(change.offset)
                            file.write(change.old)
                            file.truncate(change.size)
                case "C":
                    os.unlink(change.path)
                case "U":
                    os.link(change.old.decode(), change.path)
                case "R":
                    os.rename(change.other, change.path)
                    if change.old:
                        os.link(change.old.decode(), change.other)

    def _tear(self, change: _Change, chance: random.Random) -> None:
        """Leaves only the beginning of a write; where it made the file longer, there is nothing behind it or zeros."""
        path, torn_at = self._path(change), chance.randrange(change.length)
        if path is None:
            return
        with open(path, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(change.offset + torn_at)
            file.write(change.old[torn_at:])
            grown_from = max(change.offset + torn_at, change.size)
            if grown_from < end:
                file.truncate(grown_from)
                if chance.random() < 0.5:
                    file.truncate(end)

    def _path(self, change: _Change) -> str | None:
        """Where the file of a change is now: it may have another name by now, or none."""
        if os.path.exists(change.path) and os.stat(change.path).st_ino == change.file:
            return change.path
        for folder, _, names in os.walk(self._data):
            for name in names:
                path = os.path.join(folder, name)
                if os.stat(path).st_ino == change.file:
                    return path
        return None
