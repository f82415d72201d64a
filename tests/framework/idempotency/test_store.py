"""Where answers are kept: expiry, bounds, claims that were lost, and the one transaction of PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asyncpg import UniqueViolationError
from redis.asyncio import Redis

from fairlead import App, Request, redis, text
from fairlead.errors import ServiceUnavailable
from fairlead.idempotency import Idempotency, InFlight, MemoryStore, StoredAnswer, schema
from fairlead.idempotency.postgres import PURGE_AT_ONCE, PostgresStore
from fairlead.idempotency.redis import RedisStore
from fairlead.postgres import Database
from fairlead.testing import AsyncTestClient
from tests.redis_server import RedisServer

ANSWER = StoredAnswer(b"f" * 32, 201, [("location", "/1")], "text/plain", b"body")


async def keep(store: Any, key: str) -> StoredAnswer | None:
    """What was kept before; keeps `ANSWER` when that is nothing."""
    async with store.claim(key) as claim:
        if claim.stored is None:
            await claim.keep(ANSWER)
        stored: StoredAnswer | None = claim.stored
        return stored


def test_answers_at_rest() -> None:
    """There and back."""
    assert StoredAnswer.decode(ANSWER.encode()) == ANSWER


async def test_a_claim_is_given_back(store: Any) -> None:
    """By a block that raises, that is cancelled, and that keeps nothing."""
    with pytest.raises(ZeroDivisionError):
        async with store.claim("k"):
            raise ZeroDivisionError
    with pytest.raises(asyncio.CancelledError):
        async with store.claim("k"):
            raise asyncio.CancelledError
    async with store.claim("k") as claim:
        assert claim.stored is None
    assert await keep(store, "k") is None
    assert await keep(store, "k") == ANSWER


async def test_claims_exclude_each_other(store: Any) -> None:
    """One at a time for a key; other keys are free."""
    async with store.claim("k"):
        with pytest.raises(InFlight):
            async with store.claim("k"):
                raise AssertionError("unreachable")
        assert await keep(store, "other") is None


async def test_memory_expiry_and_bounds() -> None:
    """Answers end; the oldest goes when it is full; claims don't."""
    now = [0.0]
    store = MemoryStore(lifetime_s=10, max_keys=3, clock=lambda: now[0])
    for key in "abc":
        await keep(store, key)
    now[0] = 5.0
    assert await keep(store, "d") is None
    assert (len(store), await keep(store, "b"), await keep(store, "a")) == (3, ANSWER, None)
    now[0] = 15.0
    assert await keep(store, "c") is None
    assert len(store) == 1
    async with store.claim("1"), store.claim("2"):
        async with store.claim("3"):
            with pytest.raises(ServiceUnavailable):
                async with store.claim("4"):
                    raise AssertionError("unreachable")
        assert len(store) == 2


async def test_redis_expiry(redis_client: Any) -> None:
    """Claims and answers end by themselves."""
    store = RedisStore(redis_client, lifetime_s=600, claim_s=60)
    async with store.claim("k") as claim:
        assert 0 < await redis_client.pttl("idempotency:k") <= 60_000
        await claim.keep(ANSWER)
    assert 60_000 < await redis_client.pttl("idempotency:k") <= 600_000


@pytest.mark.parametrize("kept", [True, False])
async def test_a_claim_that_was_lost(redis_client: Redis, kept: bool) -> None:
    """A handler that ran longer than its claim neither overwrites nor frees what another one has by now."""
    store = RedisStore(redis_client)
    async with store.claim("k") as lost:
        await redis_client.delete("idempotency:k")  # as if its time had passed
        async with store.claim("k") as second:
            if kept:
                await lost.keep(StoredAnswer(b"", 200, [], None, b"late"))
            with pytest.raises(InFlight):
                async with store.claim("k"):
                    raise AssertionError("unreachable")
            await second.keep(ANSWER)
    assert await keep(store, "k") == ANSWER


async def test_without_redis(tmp_path: Path) -> None:
    """503 for a request with a key: better not done than done twice. Without a key as ever."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    app: App[Any, Any] = App("app")
    store = RedisStore(redis.attach(app, server.url, critical=False))

    @app.post("/")
    @Idempotency(store)
    async def handler(request: Request[Any, Any]) -> Any:
        return text("done")

    async with AsyncTestClient(app) as client:
        server.kill()
        assert (await client.post("/", headers={"idempotency-key": "k"})).status_code == 503
        assert (await client.post("/")).text == "done"


async def test_postgres_expiry(database: Database) -> None:
    """What is over is done anew, and is removed a few rows at a time."""
    store = PostgresStore(database, lifetime_s=600)
    await keep(store, "k")
    assert await keep(store, "k") == ANSWER
    await database.execute("UPDATE idempotency_keys SET expires_at = now()")
    assert await keep(store, "k") is None
    assert await keep(store, "k") == ANSWER
    await database.execute(
        "INSERT INTO idempotency_keys SELECT 'old ' || n, '', now() - interval '1 day' FROM generate_series(1, 25) AS n"
    )
    for left in (25 - PURGE_AT_ONCE, 25 - 2 * PURGE_AT_ONCE, 0):
        await keep(store, f"new {left}")
        assert await database.fetchval("SELECT count(*) FROM idempotency_keys WHERE key LIKE 'old %'") == left


@pytest.fixture
async def orders(database: Database) -> Any:
    """An app whose handler inserts a row, and then does as it is told."""
    await database.execute("CREATE TABLE orders (name text UNIQUE)")
    app: App[Any, Any] = App("orders")
    store = PostgresStore(database)

    @app.post("/orders/<name:str>/<then:str>")
    @Idempotency(store)
    async def order(request: Request[Any, Any], name: str, then: str) -> Any:
        try:
            async with store.transaction(request) as connection:
                await connection.execute("INSERT INTO orders VALUES ($1)", name)
        except UniqueViolationError:
            return text("there is one already", 409)
        if then == "crash":
            raise RuntimeError("broken")
        return text(name, 503 if then == "unwell" else 201)

    return app


@pytest.mark.parametrize(("then", "rows"), [("go", 1), ("crash", 0), ("unwell", 0)])
async def test_work_and_answer_are_one(orders: Any, database: Database, then: str, rows: int) -> None:
    """Both are there, or neither: what the handler did before it failed is undone with its key."""
    async with AsyncTestClient(orders) as client:
        await client.post(f"/orders/tea/{then}", headers={"idempotency-key": "k"})
    assert await database.fetchval("SELECT count(*) FROM orders") == rows
    assert await database.fetchval("SELECT count(*) FROM idempotency_keys") == rows


@pytest.mark.parametrize("headers", [{"idempotency-key": "k"}, {}])
async def test_work_that_fails_alone(orders: Any, database: Database, headers: dict[str, str]) -> None:
    """The handler's block is a savepoint: after an error in it the answer can still be kept."""
    await database.execute("INSERT INTO orders VALUES ('tea')")
    async with AsyncTestClient(orders) as client:
        for _ in range(2):
            assert (await client.post("/orders/tea/go", headers=headers)).status_code == 409
    assert await database.fetchval("SELECT count(*) FROM idempotency_keys") == len(headers)


async def test_work_without_a_key(orders: Any, database: Database) -> None:
    """A transaction of its own, committed where its block ends."""
    async with AsyncTestClient(orders) as client:
        await client.post("/orders/tea/crash")
    assert await database.fetchval("SELECT count(*) FROM orders") == 1


async def test_the_connection_that_is_cut(orders: Any, database: Database) -> None:
    """PostgreSQL ends the session in the middle: 503, nothing is done, and the key is free at once."""
    async with AsyncTestClient(orders) as client:
        blocker = await (pool := database._opened()).acquire()
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("INSERT INTO orders VALUES ('tea')")  # so that the request's own waits here
        running = asyncio.create_task(client.post("/orders/tea/go", headers={"idempotency-key": "k"}))
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not (pid := await database.fetchval(waiting)):
            pass
        await database.fetchval("SELECT pg_terminate_backend($1)", pid)
        assert (await running).status_code == 503
        await transaction.rollback()
        await pool.release(blocker)
        assert (await client.post("/orders/tea/go", headers={"idempotency-key": "k"})).status_code == 201
    assert await database.fetchval("SELECT count(*) FROM orders") == 1


async def test_the_table(postgres_url: str) -> None:
    """`DROP` undoes `CREATE`."""
    database = Database(postgres_url)
    await database.open()
    for statement in (schema.CREATE, schema.CREATE_INDEX, schema.DROP, schema.CREATE):
        await database.execute(statement)
    await database.close()
