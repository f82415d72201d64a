"""Every line of a request carries its id, whoever writes it, and requests never mix (mission T9, issue 6)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from fairlead import App, Request, text
from fairlead.telemetry.access_log import AccessLog
from fairlead.telemetry.logging import LogStream, configure
from fairlead.telemetry.observer import compose
from fairlead.testing import AsyncTestClient

structured = structlog.get_logger("shop.orders")
standard = logging.getLogger("shop.prices")
third_party = logging.getLogger("some.library")

SPEAKERS = {"handler", "dependency", "middleware", "task", "thread", "library", "request"}
"""Who says something in each request: the events of its lines."""


class Account:
    """What a dependency gives."""


async def account(request: Request[Any, Any]) -> Account:
    """A dependency that logs."""
    structured.info("dependency")
    await asyncio.sleep(0)
    return Account()


def _app() -> tuple[App[Any, Any], list[asyncio.Task[None]]]:
    app: App[Any, Any] = App("ids")
    tasks: list[asyncio.Task[None]] = []
    app.ext.add_dependency(Account, account)

    @app.on_request
    async def look(request: Request[Any, Any]) -> None:
        standard.info("middleware")

    async def later() -> None:
        await asyncio.sleep(0.001)
        structured.info("task")

    def in_a_thread() -> None:
        standard.info("thread")

    @app.get("/orders/<number:int>")
    async def orders(request: Request[Any, Any], number: int, who: Account) -> Any:
        structured.info("handler", number=number)
        tasks.append(request.app.add_task(later()))
        await request.app.run_blocking(in_a_thread)
        third_party.warning("library")
        return text(request.id)

    orders.__annotations__ |= {"who": Account}
    return app, tasks


def _observed(app: App[Any, Any], stream: LogStream) -> App[Any, Any]:
    app.finalise().observer = compose(access_log=AccessLog(stream))
    return app


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str], loggers: None) -> Callable[[LogStream], list[dict[str, Any]]]:
    """The lines that a stream has written to stdout."""

    def read(stream: LogStream) -> list[dict[str, Any]]:
        assert stream.flush(10)
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return read


async def test_whoever_speaks_says_the_id(lines: Callable[[LogStream], list[dict[str, Any]]]) -> None:
    """Handler, dependency, middleware, background task, thread, a library's logger and the access line: one id."""
    stream = configure(service="ids", format="json")
    app, tasks = _app()
    async with AsyncTestClient(_observed(app, stream)) as client:
        answer = await client.get("/orders/1", headers={"x-request-id": "order-1"})
        await asyncio.gather(*tasks)
    assert answer.headers["x-request-id"] == "order-1"
    said = [line for line in lines(stream) if line["event"] in SPEAKERS]
    assert {line["event"] for line in said} == SPEAKERS
    assert {line["request_id"] for line in said} == {"order-1"}


@pytest.mark.parametrize("live", [False, True])
async def test_concurrent_requests_never_mix(lines: Callable[[LogStream], list[dict[str, Any]]], live: bool) -> None:
    """Sixty at once over a pool of connections: each id has each speaker exactly once."""
    stream = configure(service="ids", format="json")
    app, tasks = _app()
    async with AsyncTestClient(_observed(app, stream), live=live) as client:
        answers = await asyncio.gather(*(client.get(f"/orders/{n}", headers={"x-request-id": f"order-{n}"}) for n in range(60)))
        await asyncio.gather(*tasks)
    assert [answer.text for answer in answers] == [f"order-{n}" for n in range(60)]
    by_id: dict[str, list[str]] = defaultdict(list)
    for line in lines(stream):
        if line["event"] in SPEAKERS:
            by_id[line["request_id"]].append(line["event"])
            if line["event"] == "handler":
                assert line["request_id"] == f"order-{line['number']}"
    assert {id: sorted(said) for id, said in by_id.items()} == {f"order-{n}": sorted(SPEAKERS) for n in range(60)}


async def test_pipelined_requests_never_mix(lines: Callable[[LogStream], list[dict[str, Any]]]) -> None:
    """Twenty in one packet on one connection: the second does not speak with the first one's id."""
    stream = configure(service="ids", format="json")
    app, tasks = _app()
    async with AsyncTestClient(_observed(app, stream), live=True) as client:
        reader, writer = await asyncio.open_connection(*client.server.address)
        for n in range(20):
            writer.write(f"GET /orders/{n} HTTP/1.1\r\nHost: a\r\nX-Request-ID: order-{n}\r\n\r\n".encode())
        for n in range(20):
            head = await reader.readuntil(b"\r\n\r\n")
            assert f"x-request-id: order-{n}\r\n".encode() in head
            await reader.readexactly(len(f"order-{n}"))
        await asyncio.gather(*tasks)
        writer.close()
    said = [(line["request_id"], line["event"]) for line in lines(stream) if line["event"] in SPEAKERS]
    assert sorted(said) == sorted((f"order-{n}", speaker) for n in range(20) for speaker in SPEAKERS)


async def test_an_error_carries_the_id(lines: Callable[[LogStream], list[dict[str, Any]]]) -> None:
    """The traceback's line and the access line have the id that the client was given."""
    stream = configure(service="ids", format="json")
    app: App[Any, Any] = App("ids")

    @app.get("/")
    async def broken(request: Request[Any, Any]) -> Any:
        await asyncio.sleep(0)
        raise RuntimeError("broken")

    async with AsyncTestClient(_observed(app, stream)) as client:
        given = (await client.get("/")).headers["x-request-id"]
    error, access = [line for line in lines(stream) if line.get("level") == "error"]
    assert (error["request_id"], access["request_id"]) == (given, given)
    assert error["exception"]["type"] == "RuntimeError"
