"""A running `aether serve`, and peers of ours to meet it with."""

import asyncio
import hashlib
import itertools
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aether_peer import statements
from aether_peer.channel import Channel, ChannelClosed, dialling, establish, now_ms, receive_message
from aether_peer.handshake import Completed, Handshake
from aether_peer.identity import Identity
from aether_peer.session import Session
from aether_peer.suites import HYBRID
from aether_peer.worlds import Library
from websockets.asyncio.connection import Connection

START_SECONDS = 30
# Nothing listens here: what a card names when its server is not to be dialled.
NOWHERE = "ws://127.0.0.1:9"
_numbers = itertools.count(1)


def binary() -> Path:
    root = Path(__file__).parents[3]
    return Path(os.environ.get("AETHER_BINARY", root / ".build" / "debug" / "aether"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


class AetherServer:
    """`aether serve` on a free port with its own data directory; ends with the `with` block."""

    def __init__(
        self,
        server_id: str,
        data: Path,
        environment: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        launcher: tuple[str, ...] = (),
    ) -> None:
        # Further options of `aether serve`.
        self.options = options
        # A command that runs the command behind it, in a process that it has prepared.
        self.launcher = launcher
        self.id = server_id
        self.data = data
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self._environment = {**os.environ, **(environment or {})}

    def __enter__(self) -> "AetherServer":
        address = ("--host", "127.0.0.1", "--port", str(self.port), "--endpoint", self.url)
        made = json.loads(self.run("init", "--id", self.id, *address, "--json"))
        self.key = bytes.fromhex(made["publicKey"])
        self.log = (self.data.parent / "log").open("w+")
        self._process = subprocess.Popen(
            [*self.launcher, binary(), "serve", "--data", self.data, "--heartbeat-interval", "1", *self.options],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self._environment,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.__exit__()
                raise RuntimeError(f"aether serve does not start: {(self.data.parent / 'log').read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.log.close()

    def run(self, *arguments: str) -> str:
        """An `aether` command on this server's data directory."""
        command = [binary(), *arguments, "--data", self.data]
        result = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60)
        if result.returncode != 0:
            raise RuntimeError(f"aether {' '.join(arguments)}: {result.stderr}")
        return result.stdout

    async def run_async(self, *arguments: str) -> str:
        return await asyncio.to_thread(self.run, *arguments)

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Answer:
        key = (self.data / "admin.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                status, content = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        return Answer(status, json.loads(content) if content[:1] in (b"{", b"[") else content)

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """A request that leaves the event loop free to answer the server meanwhile."""
        raw = json.dumps(body).encode() if body is not None else None
        return await asyncio.to_thread(self.request, method, path, raw)

    def trust(self, peer: Identity, endpoint: str = NOWHERE) -> None:
        card = statements.card(peer, endpoint, int(time.time()))
        answer = self.request("POST", "/v1/peers", card.encode(), "application/jose")
        if answer.status != 201:
            raise RuntimeError(f"{peer.server_id} is not taken as a peer: {answer}")

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/healthz").status == 200
        except OSError:
            return False


def identity(name: str = "", seed: str = "") -> Identity:
    """A server of ours that no other test has met, unless it is named."""
    server_id = name or f"peer-{next(_numbers)}"
    return Identity(server_id, hashlib.sha256(f"{server_id} {seed}".encode()).digest())


def known(server: AetherServer) -> Identity:
    """A server of ours that `server` trusts but cannot dial."""
    peer = identity()
    server.trust(peer)
    return peer


def handshake(server: AetherServer, peer: Identity, suites: tuple[int, ...] = HYBRID, **hello: Any) -> Handshake:
    """A handshake with `server`; `hello` replaces members of our Hello."""
    machine = Handshake(peer, {server.id: server.key}, now_ms(), server.id, suites)
    machine.hello = replace(machine.hello, **hello)
    machine.hello_bytes = machine.hello.encoded()
    return machine


@asynccontextmanager
async def connected(machine: Handshake, url: str, library: Library | None = None) -> AsyncIterator[Session]:
    """An established channel whose frames are being answered."""
    async with dialling(url) as connection:
        channel = await establish(connection, machine)
        async with running(channel, machine.identity, library) as session:
            yield session


@asynccontextmanager
async def running(channel: Channel, own: Identity, library: Library | None = None) -> AsyncIterator[Session]:
    session = Session(channel, own, library)
    task = asyncio.create_task(session.run())
    try:
        yield session
    finally:
        await channel.close()
        await task


async def signatures_exchanged(
    connection: Connection,
    machine: Handshake,
    alter: Callable[[bytes], bytes] = lambda message: message,
) -> Completed:
    """The handshake up to the keys, with our Signature altered on its way out."""
    await connection.send(machine.hello_bytes)
    signature = machine.receive_hello(await receive_message(connection), now_ms())
    await connection.send(alter(signature))
    return machine.receive_signature(await receive_message(connection))


async def code_of_refusal(url: str, act: Callable[[Connection], Any]) -> int | None:
    """What the server closes the channel with, after `act` has said what it has to say."""
    async with dialling(url) as connection:
        try:
            await act(connection)
            while True:
                await receive_message(connection)
        except ChannelClosed as closed:
            assert closed.by_peer, "the server did not close the channel"
            return closed.code


async def eventually(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """The first true answer of `condition`, asked off the event loop."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := await asyncio.to_thread(condition):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")
