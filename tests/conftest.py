"""What all tests share: a real PostgreSQL and a real Valkey, started once, when the first test asks for one.

Both are the embedded servers that `make run` uses (`fairlead.local`), here without durability and in a directory that
goes with the run. They live on a loop of their own in a thread, because each test has a loop of its own.

- `postgres_url`: an empty database for each test; `postgres_databases.prepared(…)` copies one that was migrated once.
- `redis_url`: a Valkey that is empty when the test starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from fairlead.local import PostgreSQL, Valkey

T = TypeVar("T")

DIRECTORY = "fairlead-tests-"
ABANDONED_AFTER_S = 3600


class ServerThread:
    """A loop in a thread, for servers that outlive a test. They are left in reverse order when it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test servers", daemon=True)
        self._thread.start()
        self._entered: list[AbstractAsyncContextManager[Any]] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of `coroutine`, run on the thread's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def enter(self, server: AbstractAsyncContextManager[T]) -> T:
        """Starts a server that stays until `close`."""
        entered = self.run(_awaited(server.__aenter__()))
        self._entered.append(server)
        return entered

    def close(self) -> None:
        """Stops the servers and the loop."""
        for server in reversed(self._entered):
            self.run(_awaited(server.__aexit__(None, None, None)))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


class Databases:
    """Makes and drops databases on one PostgreSQL server."""

    def __init__(self, thread: ServerThread, server_url: str) -> None:
        self._thread = thread
        self._server_url = server_url
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._templates: dict[str, str] = {}

    def create(self, template: str = "template0") -> str:
        """The URL of a new database: empty, or a copy of the database `template`."""
        name = next(self._names)
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return urlsplit(self._server_url)._replace(path=f"/{name}").geturl()

    def prepared(self, key: str, prepare: Callable[[str], None]) -> str:
        """The URL of a new copy of a database that `prepare(url)` filled, the first time that `key` was asked for.

        `prepare` must close its connections: PostgreSQL copies no database that is in use."""
        if key not in self._templates:
            url = self.create()
            prepare(url)
            self._templates[key] = _name(url)
        return self.create(self._templates[key])

    def drop(self, url: str) -> None:
        """Drops a database and ends whatever still uses it."""
        self._execute(f'DROP DATABASE "{_name(url)}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self._server_url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        self._thread.run(execute())


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where the servers keep their data during this run; what a run that was killed has left is removed."""
    for leftover in Path(tempfile.gettempdir()).glob(f"{DIRECTORY}*"):
        _remove_unless_used(leftover)
    directory = Path(tempfile.mkdtemp(prefix=DIRECTORY))
    directory.chmod(0o755)
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield directory
    os.close(descriptor)
    shutil.rmtree(directory)


def _remove_unless_used(directory: Path) -> None:
    """Removes a directory that no run has locked; a young one may be about to be."""
    with contextlib.suppress(OSError):
        if time.time() - directory.stat().st_mtime > ABANDONED_AFTER_S:
            descriptor = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(descriptor)


@pytest.fixture(scope="session")
def server_thread() -> Iterator[ServerThread]:
    """The thread that the servers belong to: they end when it ends."""
    thread = ServerThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def postgres_databases(server_directory: Path, server_thread: ServerThread) -> Databases:
    """The run's PostgreSQL."""
    server = server_thread.enter(PostgreSQL(server_directory / "postgresql", durable=False))
    return Databases(server_thread, server.url)


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    url = postgres_databases.create()
    yield url
    postgres_databases.drop(url)


@pytest.fixture(scope="session")
def redis_server_url(server_directory: Path, server_thread: ServerThread) -> str:
    """The run's Valkey, as it was left by earlier tests."""
    return server_thread.enter(Valkey(server_directory / "valkey", durable=False)).url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """A Valkey that holds nothing."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushall()
    return redis_server_url
