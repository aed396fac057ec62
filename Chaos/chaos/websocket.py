"""A small WebSocket client (RFC 6455) for `/client`: text messages that hold one JSON object each."""

import asyncio
import base64
import json
import os
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Closed(Exception):
    """The socket is closed, with the server's code where it sent one."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".strip())
        self.code = code


class Socket:
    """One connection. Use as `async with Socket(url) as socket`; every failure of the connection is `Closed`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path or "/"
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        key = base64.b64encode(os.urandom(16)).decode()
        try:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            self._writer.write(
                (
                    f"GET {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nUpgrade: websocket\r\n"
                    f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
                ).encode()
            )
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            self._drop()
            raise Closed(None, str(error)) from None
        except asyncio.CancelledError:
            self._drop()
            raise
        if b" 101 " not in head.split(b"\r\n")[0]:
            self._drop()
            raise Closed(None, "no upgrade")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer and not self._writer.is_closing():
            self._send(_CLOSE, b"\x03\xe8")
        self._drop()

    def send(self, message: dict[str, Any]) -> None:
        self._send(_TEXT, json.dumps(message).encode())

    async def receive(self) -> dict[str, Any]:
        """The next message; pings are answered meanwhile."""
        try:
            while True:
                first, second = await self._reader.readexactly(2)
                length = second & 0x7F
                if length == 126:
                    length = int.from_bytes(await self._reader.readexactly(2))
                elif length == 127:
                    length = int.from_bytes(await self._reader.readexactly(8))
                body = await self._reader.readexactly(length)
                kind = first & 0x0F
                if kind == _PING:
                    self._send(_PONG, body)
                elif kind == _CLOSE:
                    raise Closed(int.from_bytes(body[:2]) if len(body) >= 2 else None, body[2:].decode())
                elif kind == _TEXT:
                    value = json.loads(body)
                    return value if isinstance(value, dict) else {}
        except (OSError, EOFError) as error:
            raise Closed(None, str(error)) from None

    def _send(self, kind: int, body: bytes) -> None:
        writer = self._writer
        if writer is None or writer.is_closing():
            return
        mask = os.urandom(4)
        head = bytes([0x80 | kind])
        if len(body) < 126:
            head += bytes([0x80 | len(body)])
        else:
            head += bytes([0x80 | 126]) + len(body).to_bytes(2)
        key = (mask * (len(body) // 4 + 1))[: len(body)]
        masked = (int.from_bytes(body) ^ int.from_bytes(key)).to_bytes(len(body))
        writer.write(head + mask + masked)

    def _drop(self) -> None:
        if self._writer:
            self._writer.close()
