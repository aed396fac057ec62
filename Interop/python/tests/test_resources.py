"""What strangers and a peer gone bad cost a server, measured from another process: how much memory it takes, how soon
others are served meanwhile, and under which name in /metrics the bound that they met is counted."""

import asyncio
import contextlib
import re
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aether_peer.channel import PATH, SUBPROTOCOL, ChannelClosed, dialling, establish, now_ms
from aether_peer.closing import CloseCode
from aether_peer.listener import listen
from support import AetherServer, connected, eventually, free_port, handshake, identity, known
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

MANY = 1_000
PER_ADDRESS = 64
FILES = 4_096
# What a login shell or a service usually starts with.
FEW_FILES = 1_024
NARROW_FILES = 512
# Of these, what a server keeps for itself (SECURITY.md).
OWN_FILES = 64
# An address of their own, so that the bounds per address are theirs.
ATTACKERS = "127.0.0.2"
SERVED_SECONDS = 10.0
# Two of the longest pauses between dials.
DIALLED_SECONDS = 60.0
COUNTED_SECONDS = 20.0
# What the server may have grown after all attacks, and what it had before the first one.
GROWS_IN_ALL_MIB = 128
FIRST_KIB: dict[int, int] = {}
OPENING = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
).encode()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AetherServer]:
    """A server of its own, started with few files: it must raise that limit itself, as this test does afterwards."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most[1] != resource.RLIM_INFINITY and most[1] < FILES:
        pytest.skip(f"a process may have {most[1]} files here, and this needs {FILES} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, most[1]))
    # A peer that reads nothing is to be given up for what waits for it, and not for its silence.
    options = ("--unreachable-after", "120")
    with AetherServer("target", tmp_path_factory.mktemp("target") / "data", options=options) as server:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most[0], FILES), most[1]))
        asyncio.run(served(server))
        yield server
    resource.setrlimit(resource.RLIMIT_NOFILE, most)


def resident_kib(server: AetherServer) -> int:
    status = Path(f"/proc/{server._process.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1])


def count(server: AetherServer, name: str, **labels: str) -> float:
    """The sum of a metric's series that have these labels; 0 where there is none yet."""
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    series = (re.fullmatch(rf"{name}\{{(.*)\}} (\S+)", line) for line in lines)
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    return sum(float(match[2]) for match in series if match and wanted <= set(match[1].split(",")))


async def served(server: AetherServer) -> float:
    """How long a stranger's /healthz and a peer's handshake with a heartbeat take, in seconds."""
    peer = await asyncio.to_thread(known, server)
    start = time.monotonic()
    assert (await server.ask("GET", "/healthz")).status == 200
    async with connected(handshake(server, peer), server.url) as session:
        await session.heartbeat()
    return time.monotonic() - start


@dataclass
class Attack:
    """What is measured while an attack runs."""

    server: AetherServer
    metric: str
    limit: str
    before: int
    peak: int
    counted: float = 0
    served_after: float = 0

    async def fired(self) -> float:
        """How often the limit was met since the attack began."""
        total = await asyncio.to_thread(count, self.server, self.metric, limit=self.limit)
        return total - self.counted

    async def others_are_served(self) -> None:
        self.served_after = max(self.served_after, await served(self.server))
        assert self.served_after < SERVED_SECONDS

    async def watch(self) -> None:
        while True:
            self.peak = max(self.peak, resident_kib(self.server))
            await asyncio.sleep(0.02)


Measured = Callable[..., "AsyncIterator[Attack]"]


@pytest.fixture
def measured(target: AetherServer, capsys: pytest.CaptureFixture[str]) -> Measured:
    """Runs an attack: others must be served meanwhile, the limit be counted, and memory grow by less than the bound."""

    @asynccontextmanager
    async def measure(
        what: str, metric: str, limit: str, times: int = 1, grows_mib: int = 32
    ) -> AsyncIterator[Attack]:
        before = resident_kib(target)
        attack = Attack(target, metric, limit, before, before)
        attack.counted = await attack.fired()
        watch = asyncio.create_task(attack.watch())
        try:
            yield attack
            await attack.others_are_served()
            async with asyncio.timeout(COUNTED_SECONDS):
                while await attack.fired() < times:
                    await asyncio.sleep(0.05)
        finally:
            watch.cancel()
        grown = (attack.peak - before) / 1024
        with capsys.disabled():
            print(
                f"\nattack: {what}: VmRSS grew by {grown:.1f} MiB (bound {grows_mib}) to {attack.peak / 1024:.0f} MiB;"
                f" others were served within {attack.served_after:.2f} s;"
                f" {metric}{{limit={limit}}} +{await attack.fired():.0f}"
            )
        assert grown < grows_mib
        # A little that each attack leaves behind would stay below its own bound.
        first = FIRST_KIB.setdefault(target._process.pid, before)
        assert (resident_kib(target) - first) / 1024 < GROWS_IN_ALL_MIB

    return measure


class Attacker:
    """A TCP connection that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: AetherServer) -> "Attacker":
        return cls(*await asyncio.open_connection("127.0.0.1", server.port, local_addr=(ATTACKERS, 0)))

    @classmethod
    async def upgrade(cls, server: AetherServer, then: bytes = b"") -> "Attacker":
        attacker = await cls.connect(server)
        await attacker.say(OPENING)
        assert (await attacker.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        await attacker.say(then)
        return attacker

    async def say(self, content: bytes) -> None:
        """Where the server has hung up meanwhile, that is what the caller looks at next."""
        try:
            self.writer.write(content)
            await self.writer.drain()
        except ConnectionError:
            return

    async def status(self) -> bytes:
        """How an answer begins; nothing where the server hangs up without one."""
        try:
            return await self.reader.read(12)
        except ConnectionError:
            return b""

    async def trickle(self, content: bytes) -> None:
        """One byte a second, until the server has enough of it."""
        for byte in content:
            if self.writer.is_closing() or self.reader.at_eof():
                return
            await self.say(bytes([byte]))
            await asyncio.sleep(1)

    async def close_code(self) -> int | None:
        """The code of the server's Close frame; none where it hangs up without one."""
        try:
            while True:
                kind, length = await self.reader.readexactly(2)
                if length == 126:
                    length = int.from_bytes(await self.reader.readexactly(2))
                content = await self.reader.readexactly(length)
                if kind & 0x0F == 8:
                    return int.from_bytes(content[:2])
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def hang_up(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def crowd(attackers: int, make: Callable[[], Awaitable[Attacker]]) -> AsyncIterator[list[Attacker]]:
    """A few at a time, so that the kernel's queue is not what is tried."""
    places = asyncio.Semaphore(32)

    async def one() -> Attacker:
        async with places:
            return await make()

    made = await asyncio.gather(*(one() for _ in range(attackers)))
    try:
        yield made
    finally:
        for attacker in made:
            attacker.hang_up()


def frame(first: int, content: bytes = b"", length: int | None = None) -> bytes:
    """A client's frame with a mask of zeros. `length` is announced instead of the content's own."""
    length = len(content) if length is None else length
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 1 << 16:
        size = b"\xfe" + length.to_bytes(2)
    else:
        size = b"\xff" + length.to_bytes(8)
    return bytes([first]) + size + bytes(4) + content


async def test_the_server_may_open_as_many_files_as_the_system_lets_it(target: AetherServer) -> None:
    limits = Path(f"/proc/{target._process.pid}/limits").read_text()
    soft, hard = re.search(r"^Max open files\s+(\d+)\s+(\d+)", limits, re.MULTILINE).groups()
    assert soft == hard and int(soft) >= FILES


async def test_with_every_connection_taken_the_server_still_reaches_its_peers(tmp_path: Path) -> None:
    """Its connections stay open behind their first request; the files that it needs for dialling are not theirs."""
    launcher = ("sh", "-c", f'ulimit -n {NARROW_FILES} && exec "$0" "$@"')
    with AetherServer("narrow", tmp_path / "data", launcher=launcher) as server:
        most = NARROW_FILES - OWN_FILES
        assert f"at most {most} connections instead of 10000" in (tmp_path / "log").read_text()
        own = identity()
        port = free_port()
        await asyncio.to_thread(server.trust, own, f"ws://127.0.0.1:{port}")
        established = asyncio.get_running_loop().create_future()

        async def accepted(connection: ServerConnection) -> None:
            await establish(connection, handshake(server, own))
            if not established.done():
                established.set_result(None)
            await connection.wait_closed()

        async def ask() -> Attacker:
            attacker = await Attacker.connect(server)
            await attacker.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            return attacker

        async with crowd(NARROW_FILES, ask) as attackers:
            answers = [await attacker.status() for attacker in attackers]
            assert set(answers) == {b"HTTP/1.1 200", b""}
            # A connection of the start may still have had a place.
            assert most - 3 <= answers.count(b"HTTP/1.1 200") <= most
            async with await listen(own, accepted, port=port):
                await asyncio.wait_for(established, DIALLED_SECONDS)
        turned_away = await eventually(
            lambda: server._answers() and count(server, "aether_http_limits_total", limit="connections"), "a free place"
        )
        assert turned_away >= answers.count(b"")


async def test_a_thousand_connections_that_say_nothing(target: AetherServer, measured: Measured) -> None:
    async with measured("a thousand mute connections", "aether_http_limits_total", "newcomers", MANY - 512) as attack:
        async with crowd(MANY, lambda: Attacker.connect(target)):
            await attack.others_are_served()


async def test_a_byte_a_second(target: AetherServer, measured: Measured) -> None:
    """Whoever is busy that slowly is cut off all the same: a request after 10 s, a Hello after 30 s."""
    hello = frame(0x82, handshake(target, await asyncio.to_thread(known, target)).hello_bytes)
    requests = ("aether_http_limits_total", "first_request_time", 100)
    hellos = ("aether_peer_limits_total", "handshake_time", 50)
    async with (
        measured("a hundred requests at a byte a second", *requests),
        measured("and half a hundred Hellos", *hellos) as attack,
        crowd(100, lambda: Attacker.connect(target)) as asking,
        crowd(50, lambda: Attacker.upgrade(target)) as greeting,
        asyncio.TaskGroup() as group,
    ):
        for attacker in asking:
            group.create_task(attacker.trickle(OPENING))
        for attacker in greeting:
            group.create_task(attacker.trickle(hello))
        await attack.others_are_served()
        codes = await asyncio.gather(*(attacker.close_code() for attacker in greeting))
        for attacker in greeting:
            attacker.hang_up()
    assert set(codes) == {CloseCode.HANDSHAKE_TIMEOUT}


@pytest.mark.parametrize("said", ["nothing", "a peer's Hello"])
async def test_a_thousand_half_open_handshakes(target: AetherServer, measured: Measured, said: str) -> None:
    hello = handshake(target, await asyncio.to_thread(known, target)).hello_bytes if said != "nothing" else b""
    message = frame(0x82, hello) if hello else b""
    refused = MANY - PER_ADDRESS
    async with measured(
        f"a thousand WebSockets that say {said}", "aether_peer_limits_total", "handshakes", refused
    ) as attack:
        async with crowd(MANY, lambda: Attacker.upgrade(target, message)):
            await attack.others_are_served()


@pytest.mark.parametrize(
    ("what", "limit", "code", "content"),
    [
        ("a length of 2^62 bytes", "message_size", CloseCode.OVERSIZED, frame(0x82, length=1 << 62)),
        ("a length of 1 GiB", "message_size", CloseCode.OVERSIZED, frame(0x82, bytes(4_096), length=1 << 30)),
        ("empty fragments without end", "fragments", CloseCode.OVERSIZED, frame(0x02) + frame(0x00) * 4_000),
        ("a flood of pings", "control_frames", CloseCode.OVERLOADED, frame(0x89, bytes(125)) * 4_000),
        ("a flood of pongs", "control_frames", CloseCode.OVERLOADED, frame(0x8A, bytes(125)) * 4_000),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
async def test_frames_beyond_their_bounds(
    target: AetherServer, measured: Measured, what: str, limit: str, code: CloseCode, content: bytes
) -> None:
    async with measured(f"{PER_ADDRESS} times {what}", "aether_peer_limits_total", limit, PER_ADDRESS) as attack:
        async with crowd(PER_ADDRESS, lambda: Attacker.upgrade(target, content)) as attackers:
            await attack.others_are_served()
            codes = [await attacker.close_code() for attacker in attackers]
        # Who sends on may have the Close frame cut off by the end of the connection.
        assert code in codes and set(codes) <= {code, None}


@pytest.mark.parametrize(
    ("what", "limit", "code", "content"),
    [
        ("announces a record of 1 GiB", "message_size", CloseCode.OVERSIZED, frame(0x82, length=1 << 30)),
        ("sends fragments without end", "fragments", CloseCode.OVERSIZED, frame(0x02) + frame(0x00, b"x") * 4_000),
        ("floods with pings", "control_frames", CloseCode.OVERLOADED, frame(0x89, bytes(125)) * 4_000),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
async def test_a_trusted_peer_is_bounded_as_well(
    target: AetherServer, measured: Measured, what: str, limit: str, code: CloseCode, content: bytes
) -> None:
    machine = handshake(target, await asyncio.to_thread(known, target))
    async with measured(f"a trusted peer that {what}", "aether_peer_limits_total", limit) as attack:
        async with dialling(target.url) as connection:
            channel = await establish(connection, machine)
            connection.transport.write(content)
            await attack.others_are_served()
            with pytest.raises(ChannelClosed) as caught:
                while True:
                    await channel.receive()
        assert caught.value.code in (code, None)


async def test_a_peer_that_never_reads(target: AetherServer, measured: Measured) -> None:
    """It asks without end and takes no answer: what waits for it is bounded, and then it is given up."""
    machine = handshake(target, await asyncio.to_thread(known, target))
    # The socket keeps the kernel's own receive buffer: with one of 4 KiB the kernel drops what lies beyond the window together
    # with the acknowledgements that it carries, and then nothing leaves here either.
    dial = connect(target.url + PATH, subprotocols=[SUBPROTOCOL], compression=None, ping_interval=None, max_queue=1)
    limit = ("aether_peer_limits_total", "outbound_queue")
    async with measured("a peer that never reads", *limit, grows_mib=96) as attack:
        async with dial as connection:
            channel = await establish(connection, machine)
            others = asyncio.create_task(attack.others_are_served())
            sequence = 0
            # To be given up in the middle of a heartbeat is what must happen.
            with contextlib.suppress(ChannelClosed):
                while not await attack.fired():
                    for sequence in range(sequence + 1, sequence + 2_001):
                        await channel.send("heartbeat", sequence=sequence, sent_at_ms=now_ms())
            await others
            assert await attack.fired()
            connection.transport.abort()
