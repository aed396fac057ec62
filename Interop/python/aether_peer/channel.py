"""A channel over a WebSocket: the handshake, then frames in records."""

from collections.abc import Callable
from time import time
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from . import frames
from .closing import ChannelFailure, CloseCode, name_of
from .handshake import Completed, Handshake
from .records import RECORD_BYTES, Opener, Sealer

PATH = "/federation"
SUBPROTOCOL = "aether-federation.1"
HANDSHAKE_SECONDS = 30


class ChannelClosed(Exception):
    """The channel is over, with this code; none where the connection just ended."""

    def __init__(self, code: int | None, by_peer: bool) -> None:
        super().__init__(f"closed {'by the peer' if by_peer else 'by us'} with {code}")
        self.code = code
        self.by_peer = by_peer

    def event(self) -> dict[str, Any]:
        by = "peer" if self.by_peer else "us"
        return {"event": "closed", "by": by, "code": self.code, "name": name_of(self.code)}


class Channel:
    """One end of an established channel. Sending and receiving do not wait for each other."""

    def __init__(self, socket: Connection, completed: Completed) -> None:
        self._socket = socket
        self.completed = completed
        self._sealer = Sealer(completed.suite, completed.outbound)
        self._opener = Opener(completed.suite, completed.inbound)
        # Replaced by tests that want to send what an honest peer would not.
        self.tamper: Callable[[bytes], bytes] = lambda record: record
        self.key_changes_seen = 0

    async def send(self, body: str, **values: Any) -> None:
        for record in self._sealer.frame(frames.encode(body, **values)):
            await self.send_record(record)

    async def change_key(self) -> None:
        await self.send_record(self._sealer.key_change())

    async def send_record(self, record: bytes) -> None:
        try:
            await self._socket.send(self.tamper(record))
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def receive(self) -> tuple[str, dict[str, Any]]:
        """The next frame. Records that change the key are dealt with on the way."""
        while True:
            record = await receive_message(self._socket)
            try:
                frame = self._opener.open(record)
                if frame is not None:
                    return frames.decode(frame)
                self.key_changes_seen += 1
            except ChannelFailure as failure:
                await self.close(failure.code)
                raise

    async def close(self, code: int = CloseCode.GOING_AWAY) -> None:
        await self._socket.close(code)


def dialling(url: str) -> connect:
    """The socket to a server, from its endpoint `ws://host:port`; use it with `async with`."""
    return connect(
        url.rstrip("/") + PATH,
        subprotocols=[SUBPROTOCOL],
        compression=None,
        max_size=RECORD_BYTES,
        ping_interval=None,
        proxy=None,
    )


async def establish(socket: Connection, handshake: Handshake) -> Channel:
    """Runs the handshake to the peer's Ready; closes the socket with the right code where it fails."""
    try:
        await _send(socket, handshake.hello_bytes)
        await _send(socket, handshake.receive_hello(await receive_message(socket), now_ms()))
        channel = Channel(socket, handshake.receive_signature(await receive_message(socket)))
        await channel.send("ready", server_id=handshake.identity.server_id)
        body, values = await channel.receive()
        if body != "ready" or values["server_id"] != channel.completed.peer:
            raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "no Ready with the peer's id")
    except ChannelFailure as failure:
        await socket.close(failure.code)
        raise
    return channel


async def receive_message(socket: Connection) -> bytes:
    try:
        message = await socket.recv()
    except ConnectionClosed as error:
        raise _closed(error) from error
    if isinstance(message, str):
        raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "a text message")
    return message


def now_ms() -> int:
    return int(time() * 1000)


async def _send(socket: Connection, message: bytes) -> None:
    try:
        await socket.send(message)
    except ConnectionClosed as error:
        raise _closed(error) from error


def _closed(error: ConnectionClosed) -> ChannelClosed:
    return ChannelClosed(error.rcvd.code if error.rcvd else None, error.rcvd_then_sent is not False)
