"""How the end of a handler becomes the end of its websocket."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.errors import (
    FairleadException,
    Forbidden,
    ServiceUnavailable,
    TooManyRequests,
    WebsocketClosed,
)
from fairlead.websocket import Websocket, serve

from .conftest import Wire, close, text, turns

MakeWire = Callable[..., Wire]


async def opened(ws: Websocket) -> Websocket:
    """An upgrade that is done."""
    return ws


async def converse(peer: Wire, handler: Callable[..., Any], **parameters: Any) -> tuple[int, str] | None:
    """Serve the handler; when the server closes, the peer answers. Returns the server's close frame."""
    task = asyncio.create_task(serve(peer.ws.request, opened(peer.ws), handler, (), parameters))
    for _ in range(20):
        await turns()
        if peer.sent_close is not None and not peer.transport.is_closing():
            peer.feed(close(peer.sent_close[0]))
    await task
    return peer.sent_close


async def test_handler_is_given_request_websocket_and_parameters(wire: MakeWire) -> None:
    """W1: `handler(request, ws, **path)`; when it returns, the websocket closes with 1000."""
    given: list[Any] = []

    async def handler(request: Any, ws: Websocket, room: str) -> None:
        given.extend((request, ws, room))

    peer = wire()
    assert await converse(peer, handler, room="lobby") == (1000, "")
    assert given == [peer.ws.request, peer.ws, "lobby"]


async def test_plain_function(wire: MakeWire) -> None:
    """A `def` handler is called; it can only look at the request and leave."""
    assert await converse(wire(), lambda request, ws: None) == (1000, "")


async def test_anything_that_can_be_awaited(wire: MakeWire) -> None:
    """A handler may give a task or a future as well as a coroutine: the conversation lasts until it is done."""
    peer = wire()
    assert await converse(peer, lambda request, ws: asyncio.create_task(ws.send("hello"))) == (1000, "")
    assert peer.sent[0] == (0x81, b"hello")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Forbidden("not yours"), (1008, "not yours")),
        (TooManyRequests("slow down"), (1008, "slow down")),
        (ServiceUnavailable("later"), (1013, "later")),
        (FairleadException("oops", 500), (1011, "oops")),
        (ZeroDivisionError("secret"), (1011, "")),
        (ExceptionGroup("several", [ValueError("secret"), WebsocketClosed(1000)]), (1011, "")),
        (WebsocketClosed(4000, "of another websocket"), (1000, "")),
        (ExceptionGroup("tasks", [WebsocketClosed(1001), WebsocketClosed(1001)]), (1000, "")),
    ],
)
async def test_exception_becomes_a_close_code(
    wire: MakeWire, caplog: pytest.LogCaptureFixture, error: Exception, expected: tuple[int, str]
) -> None:
    """W7: a refusal after the upgrade is 1008 with its message; a fault is 1011, logged, and tells nothing private."""

    async def handler(request: Any, ws: Websocket) -> None:
        raise error

    assert await converse(wire(), handler) == expected
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (expected[0] == 1011) == bool(logged)


async def test_closed_tab_ends_the_handler_quietly(wire: MakeWire, caplog: pytest.LogCaptureFixture) -> None:
    """T5: WebsocketClosed ends the handler, `finally` runs, nothing is logged as an error; the code is logged (W12)."""
    caplog.set_level(logging.INFO, "fairlead.websocket")
    finished = False

    async def ticker(request: Any, ws: Websocket) -> None:
        nonlocal finished
        try:
            while True:
                await ws.send("tick")
                await ws.recv()
        finally:
            finished = True

    peer = wire()
    task = asyncio.create_task(serve(peer.ws.request, opened(peer.ws), ticker))
    await turns()
    peer.feed(text("more"), close(1001, "tab"))
    await task
    assert finished
    assert peer.sent_close == (1001, "tab")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    [record] = [record for record in caplog.records if record.getMessage() == "websocket closed"]
    assert (vars(record)["code"], vars(record)["reason"]) == (1001, "tab")


async def test_cancelled_handler_closes_with_1012(wire: MakeWire) -> None:
    """K2: a handler that is cancelled at the drain's deadline says so to its client, and stays cancelled."""
    peer = wire()
    task = asyncio.create_task(serve(peer.ws.request, opened(peer.ws), lambda request, ws: asyncio.Event().wait()))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    code, reason = peer.sent_close or (0, "")
    assert code == 1012
    assert re.fullmatch(r"service restart, retry in \d+ ms", reason)


async def test_handler_that_outlives_its_connection_is_ended(wire: MakeWire) -> None:
    """A handler that waits for something else does not wait for ever for a client that has left; its `finally` runs."""
    finished = asyncio.Event()

    async def handler(request: Any, ws: Websocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            finished.set()

    peer = wire(close_timeout_s=0.01)
    task = asyncio.create_task(serve(peer.ws.request, opened(peer.ws), handler))
    await turns()
    peer.hang_up()
    await task
    assert finished.is_set()
    assert not task.cancelled()


async def test_handler_may_finish_its_work_after_the_end(wire: MakeWire) -> None:
    """What a handler does within the close timeout after its client has left is not disturbed."""
    peer = wire(close_timeout_s=10.0)
    release = asyncio.Event()
    done = []

    async def handler(request: Any, ws: Websocket) -> None:
        await release.wait()
        done.append(ws.close_code)

    task = asyncio.create_task(serve(peer.ws.request, opened(peer.ws), handler))
    await turns()
    peer.hang_up()
    await turns()
    release.set()
    await task
    assert done == [1006]


async def test_outer_cancellation_wins_over_ours(wire: MakeWire) -> None:
    """When the server cancels a handler that we are cancelling too, the server's cancellation is not swallowed."""
    peer = wire(close_timeout_s=0.0)

    async def handler(request: Any, ws: Websocket) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task.cancel()
            raise

    task = asyncio.create_task(serve(peer.ws.request, opened(peer.ws), handler))
    await turns()
    peer.hang_up()
    with pytest.raises(asyncio.CancelledError):
        await task
