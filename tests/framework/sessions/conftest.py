"""Three stores, one clock that stands until it is moved, and a browser over https."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from fairlead import App
from fairlead.sessions import CookieStore, MemoryStore
from fairlead.sessions.redis import RedisStore
from fairlead.testing import AsyncTestClient

SECRET: Final = "correct horse battery staple 1234567890"
COOKIE: Final = "__Host-session"


class Clock:
    """Seconds since the epoch, as they are told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(params=["cookie", "memory", "redis"])
def store(request: pytest.FixtureRequest, clock: Clock) -> Any:
    if request.param == "cookie":
        return CookieStore(SECRET, clock=clock)
    if request.param == "memory":
        return MemoryStore(clock=clock)
    return RedisStore(request.getfixturevalue("redis_client"))


@pytest.fixture(params=["memory", "redis"])
def server_store(request: pytest.FixtureRequest, clock: Clock) -> Any:
    """A store on the server, which can end a session."""
    if request.param == "memory":
        return MemoryStore(clock=clock)
    return RedisStore(request.getfixturevalue("redis_client"))


def browser(app: App[Any, Any]) -> AsyncTestClient:
    """A client that keeps cookies, as a browser does on a page of https."""
    return AsyncTestClient(app, base_url="https://testserver")
