"""The disks that the servers' data directories stand on, and how they fill up."""

import os
import resource
import subprocess
from pathlib import Path
from typing import Protocol

_BYTES = 1 << 30
# Below this offset nothing of a database that is in use can still be written.
_SMALL = 4096


class Disk(Protocol):
    """A directory that can be made full while a process writes below it."""

    path: Path

    def fill(self, pid: int | None) -> bool:
        """Whether it is full now for the process with that id, if there is one."""
        ...

    def free(self, pid: int | None) -> None: ...

    def remove(self) -> None: ...


class MemoryDisk:
    """A tmpfs of its own, which is full when it is made as small as what it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_BYTES},mode=0700", "chaos", str(path)],
            check=True,
            capture_output=True,
        )

    def fill(self, pid: int | None) -> bool:
        state = os.statvfs(self.path)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize
        # It may grow while this is done: tmpfs refuses to be smaller than what it holds.
        return any(self._resize(used + room) for room in (0, 1 << 16, 1 << 20, 1 << 22))

    def free(self, pid: int | None) -> None:
        self._resize(_BYTES)

    def remove(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=False, capture_output=True)

    def _resize(self, size: int) -> bool:
        done = subprocess.run(
            ["mount", "-o", f"remount,size={max(size, 4096)}", str(self.path)], check=False, capture_output=True
        )
        return done.returncode == 0


class LimitedDisk:
    """Without a disk of its own: a limit on the size of files (RLIMIT_FSIZE) stands in for a full one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)

    def fill(self, pid: int | None) -> bool:
        return self._limit(pid, _SMALL)

    def free(self, pid: int | None) -> None:
        self._limit(pid, resource.RLIM_INFINITY)

    def remove(self) -> None:
        pass

    @staticmethod
    def _limit(pid: int | None, size: int) -> bool:
        if pid is None:
            return False
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size if hard == resource.RLIM_INFINITY else hard, hard))
        except ProcessLookupError:
            return False
        return hard == resource.RLIM_INFINITY or hard <= size


def make_disk(path: Path) -> Disk:
    """A tmpfs where this process has private mounts (`CHAOS_PRIVATE_MOUNTS`, set by `Chaos/run`), else a limit."""
    if os.environ.get("CHAOS_PRIVATE_MOUNTS"):
        try:
            return MemoryDisk(path)
        except (OSError, subprocess.CalledProcessError):
            path.rmdir()
    return LimitedDisk(path)
