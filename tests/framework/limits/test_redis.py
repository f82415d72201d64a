"""Counters in Redis: atomic, the same arithmetic as in memory, and an outage that is met once and logged once (SEC-P05)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from fairlead import App, Request, redis, text
from fairlead.limits import RateLimit, SlidingWindow, TokenBucket
from fairlead.limits import redis as backend_module
from fairlead.limits.rate_limit import Unreachable
from fairlead.limits.redis import RedisBackend
from fairlead.limits.rule import ROUNDING, SLOTS, Rule
from fairlead.testing import AsyncTestClient
from tests.redis_server import RedisServer

GIVEN_TIME = "local now = tonumber(ARGV[5])\n"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


def arguments(rule: Rule, cost: int) -> list[Any]:
    if isinstance(rule, SlidingWindow):
        return [rule.limit, rule.window_s, cost, SLOTS]
    return [rule.capacity, rule.limit / rule.window_s, cost, ROUNDING]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", [SlidingWindow, TokenBucket])
async def test_the_scripts_decide_as_the_rules_do(client: Redis, kind: Any, seed: int) -> None:
    """The same requests at the same moments, through Lua and through Python: the same decisions and the same times."""
    chance = random.Random(seed)
    rule = kind(chance.randint(1, 8), chance.choice([5.0, 60.0]))
    source = backend_module._SLIDING_WINDOW if kind is SlidingWindow else backend_module._TOKEN_BUCKET
    script, state, now = client.register_script(GIVEN_TIME + source), dict[Any, Any](), 1_800_000_000.25
    for _ in range(80):
        now += round(chance.choice([0.0, 0.1, rule.window_s / 10, rule.window_s]), 3)
        cost = chance.choice([0, 1, 1, 1, 2, 9])
        expected = rule.take(state, now, cost)
        allowed, remaining, reset_s, retry_after_s = await script(keys=["k"], args=[*arguments(rule, cost), repr(now)])
        assert (bool(allowed), remaining) == (expected.allowed, expected.remaining)
        assert float(reset_s) == pytest.approx(expected.reset_s, abs=1e-3)
        assert float(retry_after_s) == pytest.approx(expected.retry_after_s, abs=1e-3)


@pytest.mark.parametrize("rule", [SlidingWindow(20, 600), TokenBucket(20, 6000)])
async def test_of_parallel_requests_no_more_pass_than_may(client: Redis, rule: Rule) -> None:
    """Sixty at once, through two workers: exactly twenty get in, and the key goes when it has nothing to remember."""
    backends = [RedisBackend(client), RedisBackend(client)]
    decisions = await asyncio.gather(*(backends[number % 2].take("key", rule, 1) for number in range(60)))
    assert sum(decision.allowed for decision in decisions) == 20
    assert [b"limits:key"] == await client.keys("*")
    assert 0 < await client.pttl("limits:key") <= rule.idle_after_s * 1000


async def test_one_round_trip(client: Redis) -> None:
    """A request is one command: nothing can come between reading and writing."""
    backend, rule = RedisBackend(client), SlidingWindow(5, 60)
    await backend.take("key", rule, 1)  # loads the script
    await client.config_resetstat()
    await backend.take("key", rule, 1)
    stats = await client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert not {"cmdstat_eval", "cmdstat_script|load", "cmdstat_expire"} & stats.keys()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records if record.name == "fairlead.limits"]


async def test_outage_and_return(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """Requests pass while Redis is away; the outage is one line, its end another, and only one request a second tries."""
    caplog.set_level(logging.INFO, "fairlead.limits")
    app: App[Any, Any] = App("app")
    now = [0.0]
    backend = RedisBackend(redis.attach(app, server.url, critical=False), clock=lambda: now[0])
    RateLimit("api", 2, window_s=600, backend=backend).install(app)

    @app.get("/")
    async def hello(request: Request[Any, Any]) -> Any:
        return text("Hello")

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).headers["ratelimit"].startswith('"api";r=1')
        server.kill()
        for _ in range(5):
            assert (await client.get("/")).status_code == 200
        now[0] += 1.0
        assert (await client.get("/")).status_code == 200
        assert lines(caplog) == ["WARNING"]
        server.start()
        assert "ratelimit" not in (await client.get("/")).headers  # not asked again yet
        now[0] += 1.0
        assert "ratelimit" in (await client.get("/")).headers
    assert lines(caplog) == ["WARNING", "INFO"]


async def test_a_silent_redis_holds_nobody_up() -> None:
    """A server that takes connections and never answers: the wait is `timeout_s`, and for one request only."""
    writers: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        async with Redis.from_url(f"redis://127.0.0.1:{port}", protocol=2) as client:
            backend = RedisBackend(client, timeout_s=0.01)
            for _ in range(1000):
                with pytest.raises(Unreachable):
                    await backend.take("key", SlidingWindow(1, 1), 1)
        for writer in writers:
            writer.close()
