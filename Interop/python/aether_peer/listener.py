"""A port that serves the card over HTTP and accepts channels (PROTOCOL.md, "Handshake" and "HTTP")."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import time

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from . import statements
from .channel import PATH, SUBPROTOCOL
from .identity import Identity
from .records import RECORD_BYTES

CARD_PATH = "/.well-known/aether-federation"
Accepted = Callable[[ServerConnection], Awaitable[None]]


async def listen(
    identity: Identity,
    accepted: Accepted,
    host: str = "127.0.0.1",
    port: int = 0,
    endpoint: str | None = None,
    worlds: tuple[str, ...] = (),
) -> Server:
    """Port 0 takes a free one. The card names `endpoint`, or else this very port."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.split("?")[0]
        if path == CARD_PATH:
            address = endpoint or f"ws://{host}:{port_of(server)}"
            card = statements.card(identity, address, int(time()), worlds=worlds)
            if request.headers.get("Accept") == "application/jose":
                return _response(HTTPStatus.OK, "application/jose", card)
            return _response(HTTPStatus.OK, "application/jose+json", statements.flattened(card))
        if path != PATH:
            return _response(HTTPStatus.NOT_FOUND, "text/plain", "only the card and the channel are here\n")
        return None

    server = await serve(
        accepted,
        host,
        port,
        subprotocols=[SUBPROTOCOL],
        compression=None,
        max_size=RECORD_BYTES,
        ping_interval=None,
        process_request=answer,
    )
    return server


def port_of(server: Server) -> int:
    return next(iter(server.sockets)).getsockname()[1]


def _response(status: HTTPStatus, kind: str, text: str) -> Response:
    body = text.encode()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)
