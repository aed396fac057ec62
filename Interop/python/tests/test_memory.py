"""What a running server's memory holds of its own key: the one copy that signs, and nothing of the file it came from."""

import re
import sys
from pathlib import Path

import pytest
from support import AetherServer, connected, handshake, known

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

# A sanitizer's shadow is larger, and no memory of the program.
REGION_BYTES = 4 << 30


def occurrences(process: int, wanted: dict[str, bytes]) -> dict[str, int]:
    """How often each of the byte strings stands in memory that the process can write."""
    found = dict.fromkeys(wanted, 0)
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            region = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            start, end = (int(region[1], 16), int(region[2], 16)) if region else (0, 0)
            if not 0 < end - start <= REGION_BYTES:
                continue
            memory.seek(start)
            try:
                content = memory.read(end - start)
            except OSError:
                continue
            for name, bytes_wanted in wanted.items():
                found[name] += content.count(bytes_wanted)
    return found


async def test_a_server_holds_its_seed_once_and_its_key_file_not_at_all(tmp_path: Path) -> None:
    with AetherServer("keeper", tmp_path / "data") as server:
        for _ in range(3):
            async with connected(handshake(server, known(server)), server.url) as session:
                await session.heartbeat()
        text = (server.data / "identity.key").read_text().strip()
        seed = bytes.fromhex(text)
        try:
            found = occurrences(
                server._process.pid,
                # Either half gives a copy away whose other half is used again. The seed's first byte and last may differ
                # where it has become an X25519 key.
                {
                    "seed, first half": seed[1:16],
                    "seed, second half": seed[16:31],
                    "text, first half": text[:32].encode(),
                    "text, second half": text[32:].encode(),
                },
            )
        except PermissionError:
            pytest.skip("this system does not let a process read another's memory")
    assert found == {
        "seed, first half": 1,
        "seed, second half": 1,
        "text, first half": 0,
        "text, second half": 0,
    }
