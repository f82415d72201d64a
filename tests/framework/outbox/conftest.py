"""What the outbox tests share: a database with the table, a stream to look into, relays that end with the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from fairlead import outbox
from fairlead.outbox import Relay, schema
from fairlead.postgres import Database

POLL_S = 0.005


class Stream:
    """A stream of one test, read as its consumers do."""

    def __init__(self, client: Redis, name: str) -> None:
        self.client = client
        self.name = name

    async def entries(self) -> list[dict[str, str]]:
        """All entries, oldest first."""
        found: Any = await self.client.xrange(self.name)
        return [{key.decode(): value.decode() for key, value in fields.items()} for _, fields in found]

    async def until(self, count: int) -> list[dict[str, str]]:
        """Wait until there are `count` entries."""
        while await self.client.xlen(self.name) < count:
            last = (await self.client.xinfo_stream(self.name))["last-generated-id"] if await self._exists() else "0"
            await self.client.xread({self.name: last}, block=1000)
        return await self.entries()

    async def ids(self) -> list[str]:
        return [entry["id"] for entry in await self.entries()]

    async def _exists(self) -> bool:
        return bool(await self.client.exists(self.name))


class Outbox:
    """The table of one test, and the writers that fill it."""

    def __init__(self, database: Database, stream: str) -> None:
        self.database = database
        self.stream = stream

    async def write(self, **payload: Any) -> str:
        """One event in a transaction of its own; returns its id."""
        async with self.database.transaction() as connection:
            event_id = await outbox.write(connection, self.stream, "thing.changed", payload)
        return str(event_id)

    async def rows(self) -> list[str]:
        """The ids of the events that wait, oldest first."""
        return [str(row["id"]) for row in await self.database.fetch("SELECT id FROM outbox ORDER BY sequence")]

    async def is_empty(self) -> None:
        """Wait until every row is gone; the test's deadline ends a wait in vain."""
        while await self.rows():  # noqa: ASYNC110 - the event is in PostgreSQL
            await asyncio.sleep(POLL_S)


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; the test's deadline ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - what is watched offers no event
        await asyncio.sleep(POLL_S)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url, max_size=20)
    await database.open()
    await database.execute(schema.CREATE)
    yield database
    await database.close()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def stream(client: Redis) -> Stream:
    return Stream(client, "test:things")


@pytest.fixture
def box(database: Database, stream: Stream) -> Outbox:
    return Outbox(database, stream.name)


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(relay.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.exception() is None


Start = Callable[[Relay], Awaitable[asyncio.Task[None]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Run relays until the end of the test: `await start(relay)`."""
    async with AsyncExitStack() as stack:

        async def enter(relay: Relay) -> asyncio.Task[None]:
            return await stack.enter_async_context(running(relay))

        yield enter
