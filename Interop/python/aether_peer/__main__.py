"""The programs: dial, listen, card, vectors. Each prints one JSON object a line."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from time import time
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import WebSocketException

from . import statements
from .channel import HANDSHAKE_SECONDS, ChannelClosed, dialling, establish, now_ms
from .closing import ChannelFailure, CloseCode
from .handshake import Handshake
from .identity import Identity, fingerprint
from .listener import listen, port_of
from .session import Session
from .suites import HYBRID, SUITES
from .vectors import Mismatch, check_file


def say(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


async def dial(options: argparse.Namespace) -> int:
    identity = Identity(options.id, options.seed)
    handshake = Handshake(identity, {options.expect: options.pin}, now_ms(), options.expect, options.suites)
    async with dialling(options.url) as socket:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            channel = await establish(socket, handshake)
        session = completed(Session(channel, identity, report=say))
        running = asyncio.create_task(session.run())
        for turn in range(options.heartbeats):
            await asyncio.sleep(options.interval if turn else 0)
            await session.heartbeat()
        await channel.close(CloseCode.GOING_AWAY)
        await running
    return 0


async def listening(options: argparse.Namespace) -> int:
    identity = Identity(options.id, options.seed)

    async def accepted(socket: ServerConnection) -> None:
        handshake = Handshake(identity, dict(options.peer), now_ms(), suites=options.suites)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                channel = await establish(socket, handshake)
        except ChannelFailure as failure:
            say({"event": "refused", "why": str(failure), "code": int(failure.code)})
        except ChannelClosed as closed:
            say(closed.event())
        except TimeoutError:
            await socket.close(CloseCode.HANDSHAKE_TIMEOUT)
        else:
            session = completed(Session(channel, identity, report=say))
            running = asyncio.create_task(session.run())
            while not running.done():
                await beat(session)
                await asyncio.wait({running}, timeout=options.interval)

    async def beat(session: Session) -> None:
        try:
            await session.heartbeat()
        except (ChannelClosed, ChannelFailure, TimeoutError):
            return

    server = await listen(identity, accepted, options.host, options.port, options.endpoint)
    say({"event": "listening", "port": port_of(server), "id": identity.server_id, "key": identity.signing_key.hex()})
    await server.wait_closed()
    return 0


async def card(options: argparse.Namespace) -> int:
    identity = Identity(options.id, options.seed)
    say(
        {
            "event": "card",
            "card": statements.card(identity, options.endpoint, int(time())),
            "key": identity.signing_key.hex(),
            "fingerprint": fingerprint(identity.signing_key),
        }
    )
    if options.port is None:
        return 0

    async def refused(socket: ServerConnection) -> None:
        await socket.close(CloseCode.GOING_AWAY)

    server = await listen(identity, refused, options.host, options.port, options.endpoint)
    say({"event": "serving", "port": port_of(server)})
    await server.wait_closed()
    return 0


async def vectors(options: argparse.Namespace) -> int:
    for values in check_file(options.file):
        say({"event": "reproduced", **values})
    return 0


def completed(session: Session) -> Session:
    done = session.channel.completed
    say(
        {
            "event": "completed",
            "peer": done.peer,
            "suite": done.suite.name,
            "role": "low" if done.is_low else "high",
            "hello_hash": done.hello_hash.hex(),
            "transcript": done.transcript.hex(),
        }
    )
    return session


def octets(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != 32:
        raise ValueError
    return raw


def pin(text: str) -> tuple[str, bytes]:
    server_id, key = text.split("=")
    return server_id, octets(key)


def suite_list(text: str) -> tuple[int, ...]:
    numbers = tuple(int(number, 0) for number in text.split(","))
    if any(number not in SUITES for number in numbers):
        raise ValueError
    return numbers


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="aether_peer", description=__doc__)
    commands = root.add_subparsers(required=True, metavar="dial|listen|card|vectors")

    who = argparse.ArgumentParser(add_help=False)
    who.add_argument("--id", required=True, help="our server id")
    who.add_argument("--seed", required=True, type=octets, help="our seed: 64 hexadecimal digits")

    how = argparse.ArgumentParser(add_help=False)
    how.add_argument("--suites", type=suite_list, default=HYBRID, help="suite numbers, in order: 1,2,0x101,0x102")
    how.add_argument("--interval", type=float, default=1.0, help="seconds between heartbeats")

    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    where.add_argument("--endpoint", help="what the card says; else the port listened on")

    command = commands.add_parser("dial", parents=[who, how], help="complete a handshake, exchange heartbeats, leave")
    command.add_argument("url", help="ws://host:port")
    command.add_argument("--expect", required=True, help="the id of the server meant")
    command.add_argument("--pin", required=True, type=octets, help="its key: 64 hexadecimal digits")
    command.add_argument("--heartbeats", type=int, default=3)
    command.set_defaults(run=dial)

    command = commands.add_parser("listen", parents=[who, how, where], help="serve the card, accept channels")
    command.add_argument("--port", type=int, default=0, help="0 takes a free one")
    command.add_argument("--peer", type=pin, action="append", default=[], metavar="ID=KEY", help="may be repeated")
    command.set_defaults(run=listening)

    command = commands.add_parser("card", parents=[who, where], help="print a signed card; with --port also serve it")
    command.add_argument("--port", type=int)
    command.set_defaults(run=card)

    command = commands.add_parser("vectors", help="reproduce the vectors of a file")
    command.add_argument("file", type=Path)
    command.set_defaults(run=vectors)
    return root


def main() -> int:
    options = parser().parse_args()
    if options.run is card and options.endpoint is None:
        options.endpoint = f"ws://{options.host}:{options.port or 7700}"
    try:
        return asyncio.run(options.run(options))
    except ChannelClosed as closed:
        say(closed.event())
    except (ChannelFailure, Mismatch, OSError, TimeoutError, ValueError, WebSocketException) as error:
        print(f"aether_peer: {error or type(error).__name__}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
