"""Pools of PostgreSQL and Redis on /metrics, against real ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from fairlead import App, postgres, redis
from fairlead.errors import ServiceUnavailable
from fairlead.local.ports import free_port
from fairlead.telemetry.metrics import registry
from fairlead.testing import AsyncTestClient


def _waits(name: str) -> tuple[float, float]:
    """Who waits for a connection of a pool now, and who has waited in vain."""
    snapshot = registry.snapshot()
    names = ("db_client_connection_pending_requests", "db_client_connection_timeouts_total")
    values: Any = tuple(value for one in names for labels, value in snapshot[one]["series"] if labels == [name])
    return values


def _pool(name: str) -> tuple[float, float, float]:
    """Idle, used and maximal connections of a pool."""
    snapshot = registry.snapshot()
    counts = {tuple(labels): value for labels, value in snapshot["db_client_connection_count"]["series"]}
    (maximum,) = (value for labels, value in snapshot["db_client_connection_max"]["series"] if labels == [name])
    values: Any = (counts[name, "idle"], counts[name, "used"], maximum)
    return values


async def test_a_pool_of_postgresql(postgres_url: str) -> None:
    """Nothing before the first statement; then what is borrowed, and what waits."""
    app: App[Any, Any] = App("pools")
    database = postgres.attach(app, postgres_url, name="main", max_size=3)
    assert _pool("main") == (0, 0, 3)
    async with AsyncTestClient(app):
        async with database.transaction():
            assert _pool("main") == (0, 1, 3)
        assert _pool("main") == (1, 0, 3)
    assert _pool("main") == (0, 0, 3)


async def test_a_pool_of_redis(redis_url: str) -> None:
    """The same for Redis."""
    app: App[Any, Any] = App("pools")
    client = redis.attach(app, redis_url, name="cache", max_connections=4)
    async with AsyncTestClient(app):
        await client.ping()
        assert _pool("cache") == (1, 0, 4)


async def test_who_waits_for_postgresql(postgres_url: str) -> None:
    """K10: a request that waits for a connection shows, and so does one that has waited in vain."""
    app: App[Any, Any] = App("pools")
    database = postgres.attach(app, postgres_url, name="narrow", max_size=1)
    async with AsyncTestClient(app):
        async with database.transaction():
            assert _waits("narrow") == (0, 0)
            waiting = asyncio.create_task(database.fetchval("SELECT 1"))
            await asyncio.sleep(0)
            assert _waits("narrow") == (1, 0)
            database.acquire_timeout_s = 0.01
            with pytest.raises(ServiceUnavailable):
                await database.fetchval("SELECT 2")
            assert _waits("narrow") == (1, 1)
        assert await waiting == 1
        assert _waits("narrow") == (0, 1)


async def test_who_waits_for_redis(redis_url: str) -> None:
    """The same for Redis; a server that can't be reached is no full pool."""
    app: App[Any, Any] = App("pools")
    client = redis.attach(app, redis_url, name="tight", max_connections=1, pool_timeout_s=0.05)
    async with AsyncTestClient(app):
        connection = await client.connection_pool.get_connection()
        waiting = asyncio.create_task(client.ping())
        await asyncio.sleep(0)
        assert _waits("tight") == (1, 0)
        with pytest.raises(ConnectionError):
            await waiting
        assert _waits("tight") == (0, 1)
        await client.connection_pool.release(connection)
    nobody = redis.attach(App("nobody"), f"redis://127.0.0.1:{free_port()}", name="nobody")
    with pytest.raises(ConnectionError):
        await nobody.ping()
    assert _waits("nobody") == (0, 0)
