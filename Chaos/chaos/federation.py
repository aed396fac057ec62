"""Three servers that trust one another, a world on each, and a portal from each to each."""

import asyncio
import hashlib
import json
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from chaos.api import Answer, Unreachable
from chaos.disks import make_disk
from chaos.findings import Findings, Redemptions, Tally
from chaos.lossy import LossyDisk, build_shim
from chaos.proxy import Proxies
from chaos.servers import CannotRun, Server, free_port
from chaos.worlds import World

NAMES = ["alder", "birch", "cedar"]
_FILES = {"map.txt": b"here be dragons\n" * 64, "sky.txt": b"blue\n"}
_TRUST_SECONDS = 60.0


@dataclass(slots=True)
class Federation:
    """The servers, the links between them, and what has been seen of them."""

    servers: dict[str, Server]
    proxies: Proxies
    findings: Findings
    tally: Tally
    redemptions: Redemptions
    worlds: dict[str, World] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def background(self, work: Coroutine[None, None, None]) -> None:
        """Begins work that nobody waits for until `settled`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Waits for all work in the background; what failed there fails here."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    @property
    def names(self) -> list[str]:
        return list(self.servers)

    def others(self, name: str) -> list[Server]:
        return [server for server in self.servers.values() if server.name != name]

    async def open_count(self) -> int:
        """Handoffs that are not over, at all servers together; counts a server that does not answer as one."""
        count = 0
        for server in self.servers.values():
            try:
                count += int((await server.api.get("/v1/status")).json.get("openHandoffs", 1))
            except Unreachable:
                count += 1
        return count

    async def trusting(self) -> bool:
        """Whether every server trusts both others and finds them healthy."""
        for server in self.servers.values():
            try:
                status = (await server.api.get("/v1/status")).json
            except Unreachable:
                return False
            if status.get("trustedPeers") != 2 or status.get("healthyPeers") != 2:
                return False
        return True

    async def stop(self) -> None:
        for server in self.servers.values():
            async with server.changing:
                await server.stop()
                server.retire()


def portal(destination: str) -> str:
    return f"to-{destination}"


async def make_federation(binary: Path, folder: Path, chance: random.Random, *, lossy: bool, lies: bool) -> Federation:
    """Makes the servers, starts them, and waits until everybody trusts everybody."""
    findings, tally = Findings(), Tally()
    servers: dict[str, Server] = {}
    proxies = Proxies(NAMES, lambda name: servers[name].port)
    federation = Federation(servers, proxies, findings, tally, Redemptions(findings))
    shim = build_shim(folder) if lossy else None
    for name in NAMES:
        server = Server(name, free_port(chance), make_disk(folder / "disks" / name), folder, findings, tally)
        servers[name] = server
        await server.initialise(binary)
        federation.worlds[name] = World(server, findings, tally, random.Random(f"{chance.random()}"))
        if shim:
            log, keep = folder / f"{name}.undo", server.disk.path / "kept"
            server.lossy = LossyDisk(shim, server.data, log, keep, lies=lies)
    await proxies.start()
    await _introduce(federation)
    for server in servers.values():
        await _furnish(server, federation)
    deadline = asyncio.get_running_loop().time() + _TRUST_SECONDS
    while not await federation.trusting():
        if asyncio.get_running_loop().time() > deadline:
            raise CannotRun(f"the servers do not trust one another within {_TRUST_SECONDS:g} s")
        await asyncio.sleep(0.1)
    return federation


async def _introduce(federation: Federation) -> None:
    """Gives each server the others' cards, and has it dial each of them through a proxy of its own, whatever the cards say."""
    cards: dict[tuple[str, str], bytes] = {}
    for server in federation.servers.values():
        others = [other.name for other in federation.others(server.name)]
        server.dial({name: federation.proxies.endpoint(server.name, name) for name in others})
        await server.start()
    for target in federation.servers.values():
        card = await target.api.get("/.well-known/aether-federation", accept="application/jose")
        for dialler in federation.others(target.name):
            cards[dialler.name, target.name] = card.body
    for (name, _), compact in cards.items():
        api = federation.servers[name].api
        _expect(await api.request("POST", "/v1/peers", body=compact, headers={"Content-Type": "application/jose"}))


async def _furnish(server: Server, federation: Federation) -> None:
    """Publishes the server's world, and opens its portals."""
    entries = []
    for path, content in sorted(_FILES.items()):
        content += server.name.encode()
        digest = hashlib.sha256(content).hexdigest()
        _expect(await server.api.put(f"/v1/assets/{digest}", content))
        entries.append({"path": path, "sha256": digest, "size": len(content), "type": "text/plain"})
    manifest = {"files": entries, "name": server.world, "version": 1, "world": server.world}
    body = json.dumps(manifest, separators=(",", ":")).encode()
    _expect(await server.api.put(f"/v1/worlds/{server.world}", body, {"Content-Type": "application/json"}))
    for other in federation.others(server.name):
        route = {"portal": portal(other.name), "destination": other.name, "world": other.world, "spawn": "1,0,2"}
        _expect(await server.api.post("/v1/routes", route))


def _expect(answer: Answer) -> None:
    if answer.status not in (200, 201):
        raise CannotRun(f"the setting up was refused with {answer.status}: {answer.body.decode()}")
