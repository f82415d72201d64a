"""Three stores behind one fixture; for PostgreSQL with its table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from fairlead.idempotency import MemoryStore, schema
from fairlead.idempotency.postgres import PostgresStore
from fairlead.idempotency.redis import RedisStore
from fairlead.postgres import Database


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    await database.open()
    await database.execute(schema.CREATE)
    await database.execute(schema.CREATE_INDEX)
    yield database
    await database.close()


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(params=["memory", "redis", "postgres"])
def store(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "redis":
        return RedisStore(request.getfixturevalue("redis_client"))
    return PostgresStore(request.getfixturevalue("database"))
