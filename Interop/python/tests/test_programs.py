"""The programs of the package, as a person or another implementation would use them."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aether_peer.identity import Identity
from support import AetherServer
from test_documents import jose_verified

HERE = Path(__file__).parents[1]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aether_peer", *arguments]


def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Status, the JSON lines, and what was said to people."""
    done = subprocess.run(command(*arguments), cwd=HERE, capture_output=True, text=True, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@contextmanager
def started(*arguments: str) -> Iterator[Iterator[dict[str, Any]]]:
    process = subprocess.Popen(command(*arguments), cwd=HERE, stdout=subprocess.PIPE, text=True)
    try:
        yield (json.loads(line) for line in process.stdout)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def server(name: str) -> tuple[Identity, list[str]]:
    seed = hashlib.sha256(name.encode()).digest()
    return Identity(name, seed), ["--id", name, "--seed", seed.hex()]


def test_dial(alpha: AetherServer) -> None:
    own, who = server("program-that-dials")
    alpha.trust(own)
    peer = ["--expect", alpha.id, "--pin", alpha.key.hex()]
    status, events, said = run("dial", alpha.url, *who, *peer, "--heartbeats", "2", "--interval", "0")
    assert status == 0, said
    assert events[0]["event"] == "completed" and events[0]["peer"] == alpha.id
    assert [event["sequence"] for event in events if event["event"] == "acknowledged"] == [1, 2]


def test_dial_by_a_stranger_ends_with_the_code(alpha: AetherServer) -> None:
    _, who = server("stranger")
    status, events, _ = run("dial", alpha.url, *who, "--expect", alpha.id, "--pin", alpha.key.hex())
    assert status == 1
    assert events == [{"event": "closed", "by": "peer", "code": 4003, "name": "untrustedPeer"}]


def test_listen(alpha: AetherServer) -> None:
    own, who = server("program-that-listens")
    with started("listen", *who, "--peer", f"{alpha.id}={alpha.key.hex()}", "--interval", "0.1") as events:
        port = next(events)["port"]
        alpha.run("peers", "add", f"http://127.0.0.1:{port}", "--yes", "--allow-private-addresses")
        assert next(events)["event"] == "completed"
        wanted = {"heartbeat", "acknowledgement"}
        for event in events:
            wanted.discard(event.get("frame", ""))
            if not wanted:
                break
        alpha.run("peers", "remove", own.server_id)


def test_card(alpha: AetherServer) -> None:
    own, who = server("program-with-a-card")
    status, events, said = run("card", *who, "--endpoint", "ws://localhost:7799")
    assert status == 0, said
    members = jose_verified(events[0]["card"], own.signing_key, "aether-card+jwt")
    assert members["endpoint"] == "ws://localhost:7799" and members["exp"] > time.time()
    answer = alpha.request("POST", "/v1/peers", events[0]["card"].encode(), "application/jose")
    assert answer.status == 201 and answer.body["fingerprint"] == events[0]["fingerprint"]


def test_vectors(vectors: Path, tmp_path: Path) -> None:
    status, events, said = run("vectors", str(vectors))
    assert status == 0, said
    assert [event["suite"] for event in events] == 2 * [0x0001, 0x0002, 0x0101, 0x0102]
    assert all(len(event["low_to_high_key"]) == 64 for event in events)
    changed = json.loads(vectors.read_text())
    changed["vectors"][2]["transcript"] = "00" * 32
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    status, events, said = run("vectors", str(tmp_path / "changed.json"))
    assert status == 1 and len(events) == 2 and "transcript" in said
