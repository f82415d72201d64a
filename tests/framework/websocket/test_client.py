"""The client that comes back: JSON, resuming, what is worth another attempt and what is not (W13)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import InvalidStatus

from fairlead import App, Request
from fairlead.backoff import Backoff
from fairlead.errors import ServiceUnavailable, Unauthorized, WebsocketClosed
from fairlead.local.ports import free_port
from fairlead.testing import AppServer
from fairlead.websocket import Websocket
from fairlead.websocket.client import ReconnectingClient, connect

Connect = Callable[..., ReconnectingClient]


class Service:
    """Counts: each connection is sent the numbers after the last one, and closed with the next code of a script."""

    def __init__(self) -> None:
        self.app: App[Any, Any] = App("counting")
        self.script: list[tuple[int, str]] = []
        self.refusals: list[Exception] = []
        self.seen: list[tuple[str | None, str | None]] = []
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.app.add_websocket_route(self.count, "/")
        self.app.register_middleware(self.refuse, "request")

    def refuse(self, request: Request[Any, Any]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)

    async def count(self, request: Request[Any, Any], ws: Websocket) -> None:
        after = request.args.get("after")
        self.seen.append((after, request.token))
        begin = int(after or 0)
        for number in range(begin + 1, begin + 3):
            await ws.send({"id": str(number), "n": number})
        if self.script:
            code, reason = self.script.pop(0)
            if code == 1006:
                ws._transport.abort()
            else:
                await ws.close(code, reason)
        async for message in ws:
            self.heard.put_nowait(message)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    async with AppServer(service.app, live=True) as server:
        service.url = "ws://{}:{}/".format(*server.address)  # type: ignore[attr-defined]
        yield service


def quick(service: Any, **options: Any) -> ReconnectingClient:
    return connect(service.url, first_delay_s=0.001, longest_delay_s=0.01, **options)


async def test_it_comes_back_and_resumes(service: Service) -> None:
    """Whatever took the connection, the iteration goes on behind the last id; the headers are made anew each time."""
    service.script = [(1012, "service restart, retry in 5 ms"), (1006, ""), (1013, "too slow"), (1011, ""), (1001, "")]
    tokens = iter("abcdefgh")
    async with quick(service, headers=lambda: {"authorization": f"Bearer {next(tokens)}"}) as client:
        assert [(await client.recv())["n"] for _ in range(12)] == list(range(1, 13))
        assert (client.last_id, client.connections) == ("12", 6)
    assert service.seen == [(None, "a"), ("2", "b"), ("4", "c"), ("6", "d"), ("8", "e"), ("10", "f")]


async def test_sending(service: Service) -> None:
    """As `Websocket.send` does: text, bytes, JSON; over the next connection when this one is gone."""
    async with quick(service) as client:
        for data, heard in (("text", "text"), (b"\x00", b"\x00"), ({"n": 1}, '{"n":1}')):
            await client.send(data)
            assert await service.heard.get() == heard
        assert client._ws is not None
        await client._ws.close(1000)
        with pytest.raises(WebsocketClosed):
            await client.send("closed by ourselves")


async def test_sending_over_a_lost_connection(service: Service) -> None:
    """A send that finds its connection gone waits for the next one."""
    service.script = [(1012, "retry in 1 ms")]
    async with quick(service) as client:
        assert client._ws is not None
        await client._ws.wait_closed()
        await asyncio.gather(client.send("one"), client.send("two"))
        assert {await service.heard.get(), await service.heard.get()} == {"one", "two"}
        assert client.connections == 2


async def test_two_tasks_that_lose_one_connection(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever notices the loss second uses the connection that the first one has opened."""
    service.script = [(1012, "retry in 1 ms")]
    async with quick(service) as client:
        lost = client._ws
        assert lost is not None
        await lost.wait_closed()
        send, both = lost.send, asyncio.Barrier(2)

        async def send_together(*arguments: Any, **options: Any) -> None:
            await both.wait()
            await send(*arguments, **options)

        monkeypatch.setattr(lost, "send", send_together)
        await asyncio.gather(client.send("one"), client.send("two"))
        assert {await service.heard.get(), await service.heard.get()} == {"one", "two"}
        assert client.connections == 2


async def test_an_orderly_end(service: Service) -> None:
    """1000 ends the iteration."""
    service.script = [(1000, "")]
    async with quick(service) as client:
        assert [message["n"] async for message in client] == [1, 2]


@pytest.mark.parametrize(("code", "reason"), [(1008, "who are you?"), (4401, "token expired")])
async def test_an_end_for_good(service: Service, code: int, reason: str) -> None:
    """Trying again would change nothing: the caller is told."""
    service.script = [(code, reason)]
    async with quick(service) as client:
        with pytest.raises(WebsocketClosed) as closed:
            async for _ in client:
                pass
        assert (closed.value.code, closed.value.reason) == (code, reason)


async def test_refusals(service: Service) -> None:
    """503 is tried again, 401 is told."""
    service.refusals = [ServiceUnavailable("not yet"), ServiceUnavailable("not yet")]
    async with quick(service, resume=None) as client:
        assert (await client.recv())["n"] == 1
    service.refusals = [Unauthorized("no", scheme="Bearer")]
    with pytest.raises(InvalidStatus):
        await quick(service).__aenter__()


async def test_a_server_that_is_not_there_yet() -> None:
    """Connecting goes on until there is one."""
    port = free_port()
    paths: list[str] = []

    async def answer(ws: ServerConnection) -> None:
        assert ws.request is not None
        paths.append(ws.request.path)
        await ws.send('{"n": 8}')

    attempts, third = itertools.count(1), asyncio.Event()

    def draw(low: float, high: float) -> float:
        if next(attempts) == 3:
            third.set()
        return high

    client = connect(f"ws://127.0.0.1:{port}/?x=1", id_of=lambda message: str(message["n"]))
    client._backoff = Backoff(0.001, 0.01, uniform=draw)
    client.last_id = "7 0"
    opening = asyncio.create_task(client.__aenter__())
    await third.wait()
    async with listen(answer, "127.0.0.1", port):
        await opening
        assert (await client.recv())["n"] == 8
        assert client.last_id == "8"
        await client.__aexit__(None, None, None)
        await client.__aexit__(None, None, None)
    assert paths == ["/?x=1&after=7%200"]


async def test_messages_without_an_id(service: Service) -> None:
    """They are given out and change nothing about where to resume."""
    async with quick(service) as client:
        await client.recv()
        assert client._id_of([1]) is None
        assert client._id_of({"id": 7}) is None
        assert client.last_id == "1"
    async with connect(service.url) as never_used:  # type: ignore[attr-defined]
        assert never_used.connections == 1
