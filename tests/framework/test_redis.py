"""`fairlead.redis`: what a handler sees of an outage, what is retried, what is not, and how the client begins and ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, ReadOnlyError, TimeoutError

from fairlead import App, redis, text
from fairlead.errors import ConfigurationError
from fairlead.server import Server
from fairlead.settings import Secret
from fairlead.testing.wire import Wire


@asynccontextmanager
async def serving(app: App[Any, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """The app as a worker runs it, and a client for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(app.finalise(), [listening], limits=app.config.limits())
        await app.startup()
        await server.start()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}") as client:
                yield client
        finally:
            await server.drain(asyncio.get_running_loop().time() + 5)
            await app.shutdown()


def counter(url: str, **options: Any) -> tuple[App[Any, Any], Redis]:
    """An app whose only handler counts in Redis."""
    app: App[Any, Any] = App("counter")
    client = redis.attach(app, url, **options)

    @app.post("/")
    async def count(request: Any) -> Any:
        return text(str(await client.incr("count")))

    return app, client


async def test_a_handler_uses_it(redis_url: str) -> None:
    """Nothing has to be connected by hand; a `Secret` is taken as well."""
    app, _ = counter(Secret(redis_url))
    async with serving(app) as client:
        assert [(await client.post("/")).text for _ in range(2)] == ["1", "2"]


async def test_an_outage_is_503_and_over_by_itself(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Problem details with Retry-After and nothing of the inside; one warning, no trace; the next request works again."""
    caplog.set_level(logging.INFO, "fairlead")
    async with Wire(redis_url) as wire:
        app, _ = counter(wire.url, retry_after_s=7)
        async with serving(app) as client:
            assert (await client.post("/")).text == "1"
            await wire.cut()
            response = await client.post("/")
            assert response.status_code == 503
            assert response.headers["retry-after"] == "7"
            assert response.headers["content-type"] == "application/problem+json"
            assert "127.0.0.1" not in response.text
            [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
            assert (record.name, record.exc_info) == ("fairlead.redis", None)
            await wire.mend()
            assert (await client.post("/")).text == "2"


async def test_it_starts_while_redis_is_away(redis_url: str) -> None:
    """The app starts, says that it is unwell, and is well when Redis comes."""
    async with Wire(redis_url) as wire:
        await wire.cut()
        app, _ = counter(wire.url)
        async with serving(app) as client:
            assert (await client.post("/")).status_code == 503
            await app.health.run()
            assert not app.health.ready
            await wire.mend()
            assert (await client.post("/")).text == "1"
            await app.health.run()
            assert app.health.ready


@pytest.mark.parametrize("critical", [True, False])
async def test_the_health_check(redis_url: str, critical: bool) -> None:
    """The check has the given name; only a critical one takes the worker out of service."""
    async with Wire(redis_url) as wire:
        app, client = counter(wire.url, name="cache", critical=critical)
        await app.health.run()
        assert app.health.report() == {"cache": {"ok": True, "critical": critical, "startup": False, "error": None}}
        await wire.cut()
        await app.health.run()
        assert not app.health.report()["cache"]["ok"]
        assert app.health.ready is not critical
        await client.aclose()


async def test_two_clients(redis_url: str) -> None:
    """An app may use two servers; each has a check of its own, an outage of either is 503."""
    async with Wire(redis_url) as wire:
        app, _ = counter(redis_url)
        second = redis.attach(app, wire.url, name="second", critical=False)

        @app.get("/second")
        async def look(request: Any) -> Any:
            return text(str(await second.ping()))

        async with serving(app) as client:
            await wire.cut()
            assert (await client.get("/second")).status_code == 503
            assert (await client.post("/")).status_code == 200
            await app.health.run()
            assert [name for name, check in app.health.report().items() if check["ok"]] == ["redis"]


async def test_it_is_closed_last(redis_url: str) -> None:
    """A listener of the end that was registered later can still use it; afterwards no connection is left."""
    app, client = counter(redis_url)
    said = []

    @app.after_server_stop
    async def say_goodbye(app: Any) -> None:
        said.append(await client.ping())

    async with serving(app) as http:
        await http.post("/")
    assert said == [True]
    async with Redis.from_url(redis_url) as other:
        assert len(await other.client_list()) == 1


async def test_connections_that_redis_has_closed_are_replaced(redis_url: str) -> None:
    """After a restart of Redis, or its idle time-out, no command fails: connections are checked before they are used."""
    _, client = counter(redis_url)
    await asyncio.gather(*(client.ping() for _ in range(5)))
    async with Redis.from_url(redis_url) as other:
        await other.client_kill_filter(skipme=True, _type="normal")
    assert await asyncio.gather(*(client.ping() for _ in range(5))) == [True] * 5
    await client.aclose()


async def test_connecting_is_tried_again(redis_url: str) -> None:
    """A server that is back within a moment costs a command that moment, not its life."""
    async with Wire(redis_url) as wire:
        _, client = counter(wire.url)
        await wire.cut()
        command = asyncio.create_task(_keep_trying(client))
        await asyncio.sleep(0)
        await wire.mend()
        assert await command
        await client.aclose()


async def _keep_trying(client: Redis) -> bool:
    return bool(await client.ping())


async def test_a_command_is_never_sent_twice(redis_url: str) -> None:
    """When the answer is lost the command has failed for the caller, though the server may have run it: it ran once."""
    async with Wire(redis_url) as wire:
        _, client = counter(wire.url, timeout_s=0.3)
        await client.set("count", 0)
        wire.silence()
        command = asyncio.create_task(client.incr("count"))
        await asyncio.sleep(0.05)
        wire.speak()
        await wire.cut()
        with pytest.raises((ConnectionError, TimeoutError)):
            await command
        async with Redis.from_url(redis_url) as other:
            assert int(await other.get("count") or 0) <= 1
        await client.aclose()


async def test_a_silent_server_is_an_outage(redis_url: str) -> None:
    """A command ends after its time."""
    async with Wire(redis_url) as wire:
        _, client = counter(wire.url, timeout_s=0.1)
        await client.ping()
        wire.silence()
        with pytest.raises(TimeoutError):
            await client.ping()
        await client.aclose()


async def test_a_silent_host_is_an_outage(redis_url: str) -> None:
    """Connecting ends after its time, and is not tried again: once is long enough."""
    async with Wire(redis_url) as wire:
        wire.silence()
        _, client = counter(wire.url, timeout_s=0.1, connect_timeout_s=0.1)
        with pytest.raises(TimeoutError):
            await client.ping()
        await client.aclose()


async def test_commands_wait_for_a_free_connection(redis_url: str) -> None:
    """More commands than connections wait for each other; one that waits too long is an outage, not a crash."""
    _, client = counter(redis_url, max_connections=2, pool_timeout_s=5)
    assert await asyncio.gather(*(client.incr("count") for _ in range(20)))
    await client.aclose()
    _, client = counter(redis_url, max_connections=1, pool_timeout_s=0.05)
    blocking = asyncio.create_task(client.blpop(["nothing"], timeout=1))
    await asyncio.sleep(0.01)
    with pytest.raises(ConnectionError, match="No connection available"):
        await client.ping()
    assert await blocking is None
    await client.aclose()


async def test_a_failover_is_followed(redis_url: str) -> None:
    """A server that became a replica refuses writes: 503, and the connection that heard so is given up."""
    app, client = counter(redis_url)
    async with serving(app) as http, Redis.from_url(redis_url) as other:
        await http.post("/")
        before = (await other.info("stats"))["total_connections_received"]
        await other.replicaof("127.0.0.1", 1)
        try:
            response = await http.post("/")
            with pytest.raises(ReadOnlyError):
                await client.incr("count")
        finally:
            await other.replicaof("NO", "ONE")
        assert response.status_code == 503
        assert (await http.post("/")).text == "2"
        assert (await other.info("stats"))["total_connections_received"] == before + 2


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@127.0.0.1",
        "redis://user:hunter2@127.0.0.1:port/0",
        "redis://user:hunter2/0@127.0.0.1:6379",
        "redis://127.0.0.1:99999/0?password=hunter2",
        "redis://[user:hunter2",
        "redis://127.0.0.1/0?socket_timeout=hunter2",
        "hunter2",
        "",
    ],
)
def test_a_malformed_url_is_refused_without_being_shown(url: str) -> None:
    """The start ends with one line that does not hold the password."""
    with pytest.raises(ConfigurationError) as caught:
        redis.attach(App("counter"), url)
    assert str(caught.value).startswith("Redis URL: ")
    assert "hunter2" not in str(caught.value)
