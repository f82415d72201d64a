"""`PostgreSQL`: the embedded server, through every kind of start."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from fairlead.local import LocalError, PostgreSQL
from fairlead.local.ports import free_port


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def open_server(folder: Path) -> PostgreSQL:
    return PostgreSQL(folder / "postgresql", durable=False)


async def test_data_survives(folder: Path) -> None:
    """What was written is there after a restart, under the same password (C2)."""
    async with open_server(folder) as server:
        await ask(server.url, "CREATE TABLE boat (name text)")
        await ask(server.url, "INSERT INTO boat VALUES ('Grebe')")
        password = server.url.split("@")[0]
    async with open_server(folder) as server:
        assert "Grebe" == await ask(server.url, "SELECT name FROM boat")
        assert password == server.url.split("@")[0]


async def test_durable_by_default(folder: Path) -> None:
    """Unless told otherwise the server keeps PostgreSQL's guarantees, and texts sort alike on every machine."""
    async with PostgreSQL(folder / "postgresql") as server:
        names = ("fsync", "synchronous_commit", "full_page_writes", "server_encoding", "password_encryption")
        values = [await ask(server.url, f"SHOW {name}") for name in names]
        assert ["on", "on", "on", "UTF8", "scram-sha-256"] == values
        locale = await ask(server.url, "SELECT datlocale FROM pg_database WHERE datname = 'postgres'")
        assert "C.UTF-8" == locale


async def test_closed_to_others(folder: Path) -> None:
    """It listens on the loopback address only, has no unix socket, and nobody comes in without the password."""
    async with open_server(folder) as server:
        assert "127.0.0.1" == await ask(server.url, "SHOW listen_addresses")
        assert "" == await ask(server.url, "SHOW unix_socket_directories")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url.replace(":", ":not-", 2).replace("not-//", "//"))
        assert 0o600 == (server.directory / "password").stat().st_mode & 0o777
        assert 0o700 == server.directory.stat().st_mode & 0o777


async def test_unprivileged(folder: Path) -> None:
    """The server never runs as root, whoever started it."""
    async with open_server(folder) as server:
        note = (server.directory / "data" / "postmaster.pid").read_text()
        assert os.stat(f"/proc/{note.split()[0]}").st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_below_a_closed_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout below a directory of mode 0700, such as /root, works as any other."""
    folder.chmod(0o700)
    async with open_server(folder) as server:
        assert 1 == await ask(server.url, "SELECT 1")


async def test_killed_server(folder: Path) -> None:
    """SIGKILL of the server, as in a power cut, loses nothing, and its pid file does not stop the next start."""
    async with PostgreSQL(folder / "postgresql") as server:
        await ask(server.url, "CREATE TABLE boat ()")
        os.kill(int((folder / "postgresql/data/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        assert "PostgreSQL ended with SIGKILL" in await server.wait()
    assert (folder / "postgresql/data/postmaster.pid").exists()
    async with PostgreSQL(folder / "postgresql") as server:
        assert 0 == await ask(server.url, "SELECT count(*) FROM boat")


async def test_recycled_pid(folder: Path) -> None:
    """A stale pid file whose number another process has by now, as happens in containers, stops nothing either."""
    async with open_server(folder):
        note = (folder / "postgresql/data/postmaster.pid").read_text().split("\n")
    note[0] = str(os.getpid())
    (folder / "postgresql/data/postmaster.pid").write_text("\n".join(note))
    async with open_server(folder) as server:
        assert 1 == await ask(server.url, "SELECT 1")


async def test_leftover_server(folder: Path) -> None:
    """A server that an earlier run left on the same data is ended before the next one starts."""
    async with open_server(folder) as orphan:
        async with open_server(folder) as server:
            assert 1 == await ask(server.url, "SELECT 1")
        assert "exit status 0" in await orphan.wait()


async def test_interrupted_set_up(folder: Path) -> None:
    """An initdb that was cut off is done again from the beginning."""
    draft = folder / "postgresql" / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    async with open_server(folder) as server:
        assert 1 == await ask(server.url, "SELECT 1")
    assert not draft.exists()


async def test_data_of_another_version(folder: Path) -> None:
    """Data of another major version is left alone; the message names the version and the way out."""
    async with open_server(folder):
        pass
    version = folder / "postgresql/data/PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(LocalError, match=r"was made by PostgreSQL 9: .*make run-clean"):
        await open_server(folder).__aenter__()
    assert "9\n" == version.read_text()


async def test_broken_data(folder: Path) -> None:
    """A server that gives up says why in one line, and where the rest is."""
    async with open_server(folder):
        pass
    (folder / "postgresql/data/global/pg_control").unlink()
    with pytest.raises(LocalError, match=r"PostgreSQL did not start: .*pg_control.*server\.log"):
        await open_server(folder).__aenter__()


async def test_port_lost_in_between(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody else takes the free port first, another one is tried."""
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    ports = [taken.sockets[0].getsockname()[1], free_port()]
    monkeypatch.setattr("fairlead.local.postgresql.free_port", lambda: ports.pop(0))
    async with open_server(folder) as server:
        assert 1 == await ask(server.url, "SELECT 1")
    assert ports == []
    taken.close()


async def test_cancelled_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the server starts leaves no process."""
    async with open_server(folder):
        pass
    reached = asyncio.Event()

    async def never(self: PostgreSQL, child: object) -> bool:
        reached.set()
        return await asyncio.Future()

    monkeypatch.setattr(PostgreSQL, "_is_ready", never)
    server = open_server(folder)
    start = asyncio.create_task(server.__aenter__())
    await reached.wait()
    start.cancel()
    await asyncio.wait([start])
    assert start.cancelled()
    assert "PostgreSQL ended" in await server.wait()


async def test_erase(folder: Path) -> None:
    """`erase` ends what an earlier run left and removes its data."""
    async with open_server(folder) as orphan:
        await open_server(folder).erase()
        assert not orphan.directory.exists()
        await orphan.wait()


def test_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the message names both ways out."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LocalError, match="`make setup`, or set DATABASE_URL"):
        PostgreSQL(folder)
