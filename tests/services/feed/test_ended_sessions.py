"""Sessions that `auth` has ended: their connections are closed, and their tokens open nothing more (SEC-T03, SEC-W02)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from fairlead.auth import InvalidToken, Principal
from fairlead.channels import Entry, MemoryBackend, StreamPosition
from fairlead.errors import WebsocketClosed
from fairlead.testing import AsyncTestClient, HandshakeRefused, WebsocketClient
from feed.domain.ended_sessions import REMEMBERED_S, EndedSessions
from feed.service import build_app
from feed.settings import Settings

from .conftest import Issuer, close_code_of, next_of

ROOM = "/ws/rooms/harbour"

End = Callable[..., Awaitable[None]]


@pytest.fixture
async def end(redis_url: str) -> AsyncIterator[End]:
    """Say that sessions were ended, as the relay of `auth` does."""
    async with Redis.from_url(redis_url) as client:

        async def say(*sessions: str, **fields: Any) -> None:
            entry = {
                "event": "sessions.ended",
                "id": f"of {sessions}",
                "account": '"anna"',
                "sessions": msgspec.json.encode(sessions),
            }
            await client.xadd("auth:sessions", {**entry, **fields})

        yield say


async def signed_in(ws: WebsocketClient, token: str) -> None:
    """Present a token, and be welcome."""
    await ws.send({"type": "refresh", "token": token})
    await next_of(ws, "signed-in")


async def reason_of(ws: WebsocketClient) -> str:
    """Read on until the server closes; its reason."""
    try:
        while True:
            await ws.recv()
    except WebsocketClosed as closed:
        return closed.reason


async def test_connections_are_closed_on_every_worker(
    client: AsyncTestClient, settings: Settings, issuer: Issuer, end: End
) -> None:
    """1008 for those of the sessions that were ended; other sessions of the account, and who only listens, stay."""
    async with (
        AsyncTestClient(build_app(settings)) as other,
        client.websocket(ROOM) as here,
        other.websocket(ROOM, headers={"authorization": f"Bearer {issuer.token(session='b')}"}) as there,
        client.websocket(ROOM) as renewed,
        client.websocket(ROOM) as elsewhere,
        client.websocket(ROOM) as listener,
    ):
        await other.app.ctx.ended_sessions.reader.live.wait()
        await signed_in(here, issuer.token(session="a"))
        await next_of(there, "signed-in")
        for _ in range(2):
            await signed_in(renewed, issuer.token(session="a"))
        await signed_in(elsewhere, issuer.token(session="c"))
        await end("a", "b")
        assert [await close_code_of(ws) for ws in (here, there, renewed)] == [1008] * 3
        await elsewhere.send({"type": "say", "text": "still here"})
        assert (await next_of(listener, "message"))["data"]["text"] == "still here"


async def test_the_reason_is_told(client: AsyncTestClient, issuer: Issuer, end: End) -> None:
    """A page can tell this 1008 from that of one who says too much."""
    async with client.websocket(ROOM) as ws:
        await signed_in(ws, issuer.token(session="a"))
        await end("a")
        assert await reason_of(ws) == "signed out"


async def test_tokens_open_nothing_more(client: AsyncTestClient, settings: Settings, issuer: Issuer, end: End) -> None:
    """On the open connection 4401, in a header 401 before the upgrade and over REST; also at a worker that starts afterwards."""
    token = issuer.token(session="a")
    header = {"authorization": f"Bearer {token}"}
    async with client.websocket(ROOM) as watcher:
        await signed_in(watcher, token)
        await end("a")
        await close_code_of(watcher)
    async with AsyncTestClient(build_app(settings)) as later:
        await later.app.ctx.ended_sessions.reader.live.wait()
        for worker in (client, later):
            async with worker.websocket(ROOM) as ws:
                await ws.send({"type": "refresh", "token": token})
                assert await close_code_of(ws) == 4401
            with pytest.raises(HandshakeRefused) as refused:
                async with worker.websocket(ROOM, headers=header):
                    raise AssertionError("never open")
            assert refused.value.response.status_code == 401
            said = await worker.post("/v1/rooms/harbour/messages", json={"text": "me again"}, headers=header)
            assert (said.status_code, "invalid_token" in said.headers["www-authenticate"]) == (401, True)


async def test_a_session_that_ends_while_a_room_is_joined(
    client: AsyncTestClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the handshake's check and the welcome: closed with 1008 as if it had come a moment later."""
    ended: EndedSessions = client.app.ctx.ended_sessions
    checked: list[Principal] = []

    def check(principal: Principal) -> None:
        checked.append(principal)
        if len(checked) > 1:
            raise InvalidToken("ended meanwhile")

    monkeypatch.setattr(ended, "check", check)
    async with client.websocket(ROOM, headers={"authorization": f"Bearer {issuer.token(session='a')}"}) as ws:
        assert await close_code_of(ws) == 1008


async def test_other_events_mean_nothing(client: AsyncTestClient, issuer: Issuer, end: End) -> None:
    """An event of a later version is passed over, one that can't be read is logged; what comes after them is heard."""
    async with client.websocket(ROOM) as ws:
        await signed_in(ws, issuer.token(session="a"))
        await end("a", event="sessions.begun", id="1")
        await end("a", sessions="nonsense", id="2")
        await end("b")
        while "b" not in client.app.ctx.ended_sessions._forget_at:  # noqa: ASYNC110 - the stream says nothing of its progress
            await asyncio.sleep(0.01)
        await ws.send({"type": "say", "text": "still here"})
        assert (await next_of(ws, "message"))["data"]["text"] == "still here"
        await end("a", id="3")
        assert await close_code_of(ws) == 1008


def principal(session: str) -> Principal:
    """Whoever comes with a token of a session."""
    return Principal("anna", frozenset(), "", 0.0, {"sid": session})


def ending(sessions: Sequence[str], at_s: float) -> Entry:
    """What the stream says."""
    fields = {"event": "sessions.ended", "sessions": msgspec.json.encode(sessions).decode()}
    return Entry(StreamPosition(int(at_s * 1_000), 0), fields)


def test_endings_are_forgotten_when_their_tokens_have_expired() -> None:
    """What is remembered does not grow; what is read up on and older than any token is not remembered at all."""
    now = 10_000.0
    ended = EndedSessions(MemoryBackend().stream("s"), clock=lambda: now)
    ended._take(ending(["old"], now - REMEMBERED_S))
    ended._take(ending(["a", "b"], now - 1))
    ended.check(principal("old"))
    for session in ("a", "b"):
        with pytest.raises(InvalidToken), ended.watch(principal(session), lambda: None):
            raise AssertionError("never watched")
    now += REMEMBERED_S
    ended._take(ending(["c"], now))
    ended.check(principal("a"))
    assert list(ended._forget_at) == ["c"]


def test_who_has_left_is_not_told() -> None:
    """Each connection is told once at most, in whatever order they leave; tokens without a session are told of nothing."""
    told: list[str] = []
    ended = EndedSessions(MemoryBackend().stream("s"), clock=lambda: 1.0)
    with ended.watch(principal("a"), lambda: told.append("stays")), ended.watch(principal(""), lambda: told.append("none")):
        with ended.watch(principal("a"), lambda: told.append("left")):
            pass
        ended._take(ending(["a"], 1.0))
        ended._take(ending(["a"], 1.0))
    assert (told, ended._open) == (["stays"], {})
