"""Pools of PostgreSQL and Redis on /metrics, against real ones."""

from __future__ import annotations

from typing import Any

from fairlead import App, postgres, redis
from fairlead.telemetry.metrics import registry
from fairlead.testing import AsyncTestClient


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
