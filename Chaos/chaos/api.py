"""The HTTP API of one server, as a world server speaks it: keep-alive connections over asyncio."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

# No request waits longer, whatever becomes of the server; the faults are all over long before.
PATIENCE_SECONDS = 120
CONNECTIONS = 48


class Unreachable(Exception):
    """There is no answer. The request may have been carried out all the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.body) if self.body else {}
        return value if isinstance(value, dict) else {}

    @property
    def code(self) -> str:
        """The code of a refusal."""
        return str(self.json.get("code", f"status {self.status}"))


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Api:
    """Requests to one server on the loopback, with its admin key."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        # Requests that had no answer although the server was there all the time.
        self.unanswered = 0
        # False once the server has said that it knows no events.
        self.has_events = True

    async def get(self, path: str, *, accept: str | None = None) -> Answer:
        """Asks again, once, when a connection that was kept turns out to be closed: reading twice is harmless."""
        headers = {"Accept": accept} if accept else {}
        try:
            return await self.request("GET", path, headers=headers)
        except Unreachable:
            return await self.request("GET", path, headers=headers)

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        return await self.request(
            "POST", path, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
        )

    async def put(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        return await self.request(
            "PUT", path, body=body, headers={"Content-Type": "application/octet-stream"} | (headers or {})
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Sends once and never again.

        It waits for as long as the connection stands: a request that was given up might still be carried out after a
        later one, which would be this harness's mistake and not the server's.
        """
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", f"Authorization: Bearer {self._key}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        async with self._slots:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await self._exchange(head + (body or b""))
            except TimeoutError:
                self.unanswered += 1
                raise Unreachable(f"{method} {path} had no answer for {PATIENCE_SECONDS} s") from None

    async def events(self, path: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Server-sent events, a name and one JSON object each, on a connection of their own until it ends."""
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
                f"Authorization: Bearer {self._key}\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if " 200 " not in head.split("\r\n")[0]:
                self.has_events = " 404 " not in head.split("\r\n")[0]
                return
            text = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                text += (await reader.readexactly(size + 2))[:-2]
                *whole, text = text.split(b"\n\n")
                for block in whole:
                    fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                    if "event" in fields:
                        yield fields["event"], json.loads(fields["data"])
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise Unreachable(str(error)) from None
        finally:
            if writer:
                writer.close()

    def forget(self) -> None:
        """Closes the connections that are kept: the process they led to is gone."""
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    async def _exchange(self, message: bytes) -> Answer:
        connection: _Connection | None = None
        try:
            if self._idle:
                connection = self._idle.pop()
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 21)
                connection = _Connection(reader, writer)
            connection.writer.write(message)
            answer, stays = await self._read(connection.reader)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            if connection:
                connection.writer.close()
            raise Unreachable(str(error)) from None
        except asyncio.CancelledError:
            if connection:
                connection.writer.close()
            raise
        if stays:
            self._idle.append(connection)
        else:
            connection.writer.close()
        return answer

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if "chunked" in fields.get("transfer-encoding", ""):
            body = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        else:
            body = await reader.readexactly(int(fields.get("content-length", "0")))
        return Answer(status, body), fields.get("connection", "").lower() != "close"
