"""docs/reference/limits.md: every key with its default, and the block about clients that leave."""

from __future__ import annotations

import asyncio
import re

import pytest

from fairlead.config import DEFAULTS
from tests.framework.server.scripted import Scripted

from .page import Page

PAGE = Page("reference/limits.md")
ROWS = re.findall(r"^\| (`[A-Z0-9_`, ]+`) \| ([^|]+) \|", PAGE.path.read_text(), re.MULTILINE)


def test_defaults_are_those_of_the_configuration() -> None:
    """Each row names a key that exists, and its default."""
    assert len(ROWS) >= 20
    for names, shown in ROWS:
        keys = re.findall(r"[A-Z0-9_]+", names)
        for name, default in zip(keys, shown.split(", ") if len(keys) > 1 else [shown], strict=True):
            word = default.split(":")[0].replace(",", "")
            assert (None if word == "none" else float(word)) == DEFAULTS[name], name


def test_no_limit_is_left_out() -> None:
    """Every key of a size, a time, a rate or a number that a peer can reach is on the page."""
    known = {name for names, _ in ROWS for name in re.findall(r"[A-Z0-9_]+", names)}
    words = (
        r"(HTTP2|REQUEST|RESPONSE|UPLOAD|PIPELINE|MAX|FIRST|WRITE|TLS_HANDSHAKE|KEEP_ALIVE|WEBSOCKET)_"
        r".*(SIZE|TIMEOUT|RATE|QUEUE|PINGS|HEADERS|CONNECTIONS|PEER|STREAMS)$"
    )
    assert {name for name in DEFAULTS if re.match(words, name)} <= known


@pytest.mark.parametrize(("path", "left", "log"), [(b"POST /orders", 1, ["charged"]), (b"GET /quote", 0, ["the client has left"])])
async def test_client_that_leaves(path: bytes, left: int, log: list[str]) -> None:
    """An order is finished, a quote is not."""
    app = PAGE.run('App("orders")')["app"]
    gate = asyncio.Event()
    app.ctx.bank = gate.wait
    scripted = Scripted(app)
    await scripted.send(path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    await scripted.happen(scripted.transport.leave)
    await scripted.until(lambda: len(scripted.shared.runner.in_flight) == left)
    gate.set()
    await scripted.until(lambda: not scripted.shared.runner.in_flight)
    assert app.ctx.log == log
    scripted.close()


async def test_application_that_cancels() -> None:
    """A time-out is told from a client that has left."""
    app = PAGE.run('App("orders")')["app"]
    app.ctx.bank = asyncio.Event().wait
    scripted = Scripted(app)
    await scripted.send(b"GET /quote HTTP/1.1\r\nHost: a\r\n\r\n")
    await scripted.happen(scripted.connection.expire)
    await scripted.until(lambda: scripted.taken)
    assert app.ctx.log == ["it took too long, or the service is going down"]
    scripted.close()
