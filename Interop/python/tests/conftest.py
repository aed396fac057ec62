"""Servers to speak to, and tests that are coroutines."""

import asyncio
import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import AetherServer, binary

TEST_SECONDS = 90


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    limit = None if pyfuncitem.get_closest_marker("slow") else TEST_SECONDS

    async def bounded() -> None:
        async with asyncio.timeout(limit):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("AETHER_INTEROP_SLOW") == "1":
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: set AETHER_INTEROP_SLOW=1"))


def pytest_sessionstart() -> None:
    if not binary().exists():
        pytest.exit(f"{binary()} is missing: run 'make build', or name the program in AETHER_BINARY", returncode=1)


@pytest.fixture(scope="session")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AetherServer]:
    with AetherServer("alpha", tmp_path_factory.mktemp("alpha") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def classical(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AetherServer]:
    """A server whose operator allows suites without ML-KEM."""
    environment = {"AETHER_SUITES_ALLOW_CLASSICAL": "true"}
    with AetherServer("classic", tmp_path_factory.mktemp("classic") / "data", environment) as server:
        yield server


@pytest.fixture
def vectors() -> Path:
    return Path(__file__).parents[3] / "Tests" / "Vectors" / "handshake.json"
