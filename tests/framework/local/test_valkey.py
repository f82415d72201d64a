"""`Valkey`: the embedded server that speaks Redis' protocol."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from fairlead.local import LocalError, Valkey
from fairlead.local.ports import free_port


async def add(url: str, *values: str) -> list[Any]:
    """Adds the values to the list `boats` and gives all that is in it."""
    client = Redis.from_url(url, decode_responses=True)
    try:
        if values:
            await client.rpush("boats", *values)
        return list(await client.lrange("boats", 0, -1))
    finally:
        await client.aclose()


async def test_data_survives(folder: Path) -> None:
    """What was written is there after a restart (C2)."""
    async with Valkey(folder / "valkey") as server:
        assert ["Grebe"] == await add(server.url, "Grebe")
    async with Valkey(folder / "valkey") as server:
        assert ["Grebe"] == await add(server.url)


async def test_volatile(folder: Path) -> None:
    """Without durability nothing is written and nothing survives."""
    async with Valkey(folder / "valkey", durable=False) as server:
        await add(server.url, "Grebe")
    async with Valkey(folder / "valkey", durable=False) as server:
        assert [] == await add(server.url)


async def test_closed_to_others(folder: Path) -> None:
    """It asks for a password, which stands in no command line and in no file that others may read."""
    async with Valkey(folder / "valkey") as server:
        with pytest.raises(AuthenticationError):
            await add(server.url.replace(":", ":not-", 2).replace("not-//", "//"))
        pid = (server.directory / "valkey.pid").read_text().strip()
        assert server.url.split("@")[0].split(":")[-1] not in Path(f"/proc/{pid}/cmdline").read_text()
        assert 0o600 == (server.directory / "valkey.conf").stat().st_mode & 0o777


async def test_killed_server(folder: Path) -> None:
    """SIGKILL of the server is told with its name, and does not stop the next start."""
    async with Valkey(folder / "valkey") as server:
        os.kill(int((folder / "valkey/valkey.pid").read_text()), signal.SIGKILL)
        assert "Valkey ended with SIGKILL" in await server.wait()
    async with Valkey(folder / "valkey") as server:
        assert [] == await add(server.url)


async def test_leftover_server(folder: Path) -> None:
    """A server that an earlier run left on the same data is ended before the next one starts."""
    async with Valkey(folder / "valkey") as orphan:
        async with Valkey(folder / "valkey") as server:
            assert ["Grebe"] == await add(server.url, "Grebe")
        assert "exit status 0" in await orphan.wait()


async def test_broken_data(folder: Path) -> None:
    """A server that gives up says why in one line, and where the rest is."""
    async with Valkey(folder / "valkey") as server:
        await add(server.url, "Grebe")
    for file in (folder / "valkey/appendonlydir").glob("*.manifest"):
        file.write_text("nonsense\n")
    with pytest.raises(LocalError, match=r"Valkey did not start: .*server\.log"):
        await Valkey(folder / "valkey").__aenter__()


async def test_port_lost_in_between(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody else takes the free port first, another one is tried."""
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    ports = [taken.sockets[0].getsockname()[1], free_port()]
    monkeypatch.setattr("fairlead.local.valkey.free_port", lambda: ports.pop(0))
    async with Valkey(folder / "valkey") as server:
        assert [] == await add(server.url)
    assert ports == []
    taken.close()


async def test_erase(folder: Path) -> None:
    """`erase` ends what an earlier run left and removes its data."""
    async with Valkey(folder / "valkey") as orphan:
        await Valkey(folder / "valkey").erase()
        assert not orphan.directory.exists()
        await orphan.wait()


def test_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the message names both ways out."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LocalError, match="`make setup`, or set REDIS_URL"):
        Valkey(folder)
