"""Signed documents of a running server, verified by a JOSE library that knows nothing of this project, and ours."""

import base64
import hashlib
import json
import time
import urllib.request

import pytest
from aether_peer import statements
from aether_peer.listener import listen, port_of
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import OKPKey
from support import NOWHERE, AetherServer, identity
from websockets.asyncio.server import ServerConnection


def jose_key(key: bytes) -> OKPKey:
    x = base64.urlsafe_b64encode(key).decode().rstrip("=")
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x})


def jose_verified(document: str, key: bytes, typ: str) -> dict:
    """The members as the library sees them; it raises where the signature does not verify."""
    opened = jws.deserialize_compact(document, jose_key(key), algorithms=["EdDSA"])
    assert opened.headers() == {"alg": "EdDSA", "kid": key.hex(), "typ": typ}
    return json.loads(opened.payload)


def fetched_card(server: AetherServer, accept: str) -> tuple[str, bytes]:
    url = f"http://127.0.0.1:{server.port}/.well-known/aether-federation"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read()


def test_the_compact_card_verifies(alpha: AetherServer) -> None:
    kind, card = fetched_card(alpha, "application/jose")
    members = jose_verified(card.decode(), alpha.key, "aether-card+jwt")
    assert kind == "application/jose"
    assert members["iss"] == alpha.id and members["endpoint"] == alpha.url and members["key"] == alpha.key.hex()
    assert members["min_version"] <= 1 <= members["max_version"]
    assert members["iat"] <= time.time() + 1 and members["exp"] > time.time()
    assert statements.verify(card.decode(), statements.CARD, alpha.key) == members
    with pytest.raises(BadSignatureError):
        jose_verified(card.decode(), identity().signing_key, "aether-card+jwt")


def test_the_flattened_card_verifies(alpha: AetherServer) -> None:
    kind, card = fetched_card(alpha, "*/*")
    opened = jws.deserialize_json(json.loads(card), jose_key(alpha.key), algorithms=["EdDSA"])
    assert kind == "application/jose+json"
    assert json.loads(opened.payload)["iss"] == alpha.id


def test_a_card_that_a_jose_library_signed_is_taken(alpha: AetherServer) -> None:
    own = identity(f"jose-{time.time_ns()}")
    seed = hashlib.sha256(f"{own.server_id} ".encode()).digest()
    private = base64.urlsafe_b64encode(seed).decode().rstrip("=")
    key = OKPKey.import_key({**jose_key(own.signing_key).as_dict(private=False), "d": private})
    unsigned = statements.verify(statements.card(own, NOWHERE, int(time.time())), statements.CARD)
    header = {"alg": "EdDSA", "kid": own.signing_key.hex(), "typ": "aether-card+jwt"}
    card = jws.serialize_compact(header, json.dumps(unsigned), key, algorithms=["EdDSA"])
    answer = alpha.request("POST", "/v1/peers", card.encode(), "application/jose")
    assert answer.status == 201 and answer.body["publicKey"] == own.signing_key.hex()


@pytest.mark.parametrize("spoilt", ["signature", "key", "expired", "type"])
def test_a_card_of_ours_that_is_wrong_is_refused(alpha: AetherServer, spoilt: str) -> None:
    own, other, now = identity(), identity(), int(time.time())
    card = statements.card(own, NOWHERE, now)
    members = statements.verify(card, statements.CARD)
    match spoilt:
        case "signature":
            # The payload says another name, under the signature of the first.
            header, _, signature = card.split(".")
            renamed = statements.card(own, NOWHERE, now, name="another").split(".")[1]
            card = ".".join((header, renamed, signature))
        case "key":
            card = statements.sign(other, statements.CARD, members)
        case "expired":
            card = statements.card(own, NOWHERE, now - 7200)
        case "type":
            card = statements.sign(own, statements.RECEIPT, members)
    answer = alpha.request("POST", "/v1/peers", card.encode(), "application/jose")
    assert 400 <= answer.status < 500 and answer.body["code"].startswith("card.")
    assert alpha.request("GET", f"/v1/peers/{own.server_id}").status == 404


async def test_our_card_is_fetched_and_its_key_pinned(alpha: AetherServer) -> None:
    own = identity()

    async def accepted(socket: ServerConnection) -> None:
        await socket.close()

    async with await listen(own, accepted) as listener:
        port = port_of(listener)
        await alpha.run_async("peers", "add", f"http://127.0.0.1:{port}", "--yes", "--allow-private-addresses")
        shown = await alpha.ask("GET", f"/v1/peers/{own.server_id}")
        await alpha.run_async("peers", "remove", own.server_id)
    assert shown.body["publicKey"] == own.signing_key.hex()
    assert shown.body["endpoint"] == f"ws://127.0.0.1:{port}"
