"""The connections between servers, through proxies that cut, delay and stall them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass(slots=True)
class Way:
    """What is on its way from one server to another, whoever dialled the connection."""

    source: str
    destination: str
    # Seconds that every piece takes.
    delay: float = 0.0
    moving: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.moving.set()


class Link:
    """Everything between two servers: both ways, and the connections that are open."""

    def __init__(self, first: str, second: str) -> None:
        self.names = (first, second)
        self.ways = {(first, second): Way(first, second), (second, first): Way(second, first)}
        # Faults that cut it now; connections stand while there are none.
        self.cuts = 0
        self._open: set[asyncio.StreamWriter] = set()

    def way(self, source: str, destination: str) -> Way:
        return self.ways[source, destination]

    @property
    def is_open(self) -> bool:
        """Whether a connection stands."""
        return bool(self._open)

    def cut(self) -> bool:
        """Resets every connection, and refuses new ones until as many calls of `mend`. Whether one stood."""
        self.cuts += 1
        stood = self.is_open
        for writer in list(self._open):
            writer.transport.abort()
        return stood

    def mend(self) -> None:
        self.cuts -= 1

    async def carry(
        self, dialler: str, target: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Joins a connection that `dialler` opened with a new one to `target`, until either ends."""
        if self.cuts:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._open |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer, self.way(dialler, target)))
                group.create_task(_pump(far_reader, writer, self.way(target, dialler)))
        except* OSError:
            pass
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    """Passes bytes on in order, each after the way's delay; raises OSError at the end, which ends the other way too."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)

    async def read() -> None:
        while True:
            piece = await reader.read(_CHUNK)
            await pieces.put((loop.time() + way.delay, piece))
            if not piece:
                return

    async def write() -> None:
        while True:
            due, piece = await pieces.get()
            if (rest := due - loop.time()) > 0:
                await asyncio.sleep(rest)
            await way.moving.wait()
            if not piece:
                raise ConnectionResetError("the other end closed")
            writer.write(piece)
            await writer.drain()

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(write())


class Proxies:
    """One listening port for every server that dials another: its address is what the dialler knows as the other's."""

    def __init__(self, names: list[str], port_of: Callable[[str], int]) -> None:
        self._names = names
        self._port_of = port_of
        self._servers: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()
        self._ports: dict[tuple[str, str], int] = {}
        self.links = {
            frozenset((first, second)): Link(first, second)
            for index, first in enumerate(names)
            for second in names[index + 1 :]
        }

    def link(self, first: str, second: str) -> Link:
        return self.links[frozenset((first, second))]

    def endpoint(self, dialler: str, target: str) -> str:
        return f"ws://127.0.0.1:{self._ports[dialler, target]}"

    async def start(self) -> None:
        for dialler in self._names:
            for target in self._names:
                if dialler != target:
                    await self._listen(dialler, target)

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _listen(self, dialler: str, target: str) -> None:
        link = self.link(dialler, target)

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(link.carry(dialler, target, self._port_of(target), reader, writer))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        self._ports[dialler, target] = server.sockets[0].getsockname()[1]
