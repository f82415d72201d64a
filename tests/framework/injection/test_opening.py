"""Websockets: whatever refuses one does it before the upgrade, as HTTP with its status (W7)."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from msgspec import Meta

from fairlead import App, Path, Query, Request
from fairlead.auth import KeySet, SigningKey, TokenIssuer, attach, protected
from fairlead.errors import Forbidden
from fairlead.testing import AsyncTestClient, HandshakeRefused

KEY = SigningKey.generate()
Events = list[str]


class Session:
    """A dependency that refuses some."""


def noting(handler: Any) -> Any:
    """A decorator of somebody else, who uses the websocket."""

    @functools.wraps(handler)
    async def noted(request: Request, ws: Any, *values: Any, **named: Any) -> None:
        await ws.send("noted")
        await handler(request, ws, *values, **named)

    return noted


def make_app(events: Events) -> App:
    """Websockets behind everything that may refuse them."""
    app = App("opening")
    attach(app, issuer="https://auth.example", audience="fairlead", keys=KeySet([KEY.public]))

    async def begin(request: Request, fail: Query[bool] = False) -> AsyncIterator[Session]:
        if request.args.get("stranger"):
            raise Forbidden("Not for strangers")
        events.append("begun")
        try:
            yield Session()
        except BaseException as exc:
            events.append(type(exc).__name__)
            raise
        else:
            events.append("over")
        if fail:
            raise RuntimeError("teardown")

    app.add_dependency(Session, begin)

    @app.websocket("/values/<room:int>")
    async def values(request: Request, ws: Any, page: Query[int], room: Path[Annotated[int, Meta(ge=1)]]) -> None:
        await ws.send(f"{room} {page}")

    @app.websocket("/session")
    async def session(request: Request, ws: Any, session: Session) -> None:
        await ws.send(type(session).__name__)
        if await ws.recv() == "fail":
            raise LookupError("failed")

    @app.websocket("/protected/<room>")
    @protected
    async def guarded(request: Request, ws: Any, room: str, page: Query[int] = 1) -> None:
        await ws.send(f"{room} {page}")

    @app.websocket("/inside/<room>")
    @protected
    @noting
    async def inside(request: Request, ws: Any, room: str) -> None:
        await ws.send(room)

    @app.websocket("/outside/<room>")
    @noting
    @protected
    async def outside(request: Request, ws: Any, room: str, session: Session) -> None:
        await ws.send(room)

    @app.websocket("/plain")
    @noting
    async def plain(request: Request, ws: Any) -> None:
        await ws.send("plain")

    @app.websocket("/sync")
    def sync(request: Request, ws: Any, page: Query[int]) -> None:
        events.append(f"sync {page}")

    return app


async def refused(client: AsyncTestClient, path: str, **options: Any) -> int:
    with pytest.raises(HandshakeRefused) as caught:
        async with client.websocket(path, **options):
            raise AssertionError("unreachable")
    return caught.value.response.status_code


async def test_refusals_before_the_upgrade() -> None:
    """A value that doesn't fit is 422, a dependency's refusal its status, a missing token 401: all before 101."""
    events: Events = []
    async with AsyncTestClient(make_app(events)) as client:
        assert await refused(client, "/values/1") == 422
        assert await refused(client, "/values/0?page=1") == 422
        assert await refused(client, "/session?stranger=1") == 403
        assert await refused(client, "/protected/blue") == 401
        assert await refused(client, "/inside/blue") == 401
        token = TokenIssuer(KEY, issuer="https://auth.example", audience="fairlead", lifetime_s=600).issue("a", ())
        headers = {"authorization": f"Bearer {token}"}
        assert await refused(client, "/protected/blue?page=x", headers=headers) == 422
        for path, expected in (
            ("/values/2?page=3", ["2 3"]),
            ("/protected/blue?page=2", ["blue 2"]),
            ("/inside/blue", ["noted", "blue"]),
            ("/outside/blue", ["noted", "blue"]),
            ("/plain", ["noted", "plain"]),
        ):
            async with client.websocket(path, headers=headers) as ws:
                assert [await ws.recv() for _ in expected] == expected
    assert events == ["begun", "over"]


@pytest.mark.parametrize(("message", "end", "code"), [("done", "over", 1000), ("fail", "LookupError", 1011)])
async def test_dependencies_see_how_the_handler_ends(message: str, end: str, code: int, caplog: pytest.LogCaptureFixture) -> None:
    """A websocket's dependency lives as long as its handler and sees its failure, which is logged once."""
    events: Events = []
    async with AsyncTestClient(make_app(events)) as client, client.websocket("/session") as ws:
        assert await ws.recv() == "Session"
        await ws.send(message)
        await ws.wait_closed()
        assert ws.close_code == code
    assert events == ["begun", end]
    assert caplog.text.count("Traceback") == (code == 1011)


async def test_teardown_that_fails_behind_a_websocket(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the websocket has been closed by then."""
    async with AsyncTestClient(make_app([])) as client, client.websocket("/session?fail=true") as ws:
        assert await ws.recv() == "Session"
        await ws.send("done")
        await ws.wait_closed()
        assert ws.close_code == 1000
    assert "RuntimeError: teardown" in caplog.text


async def test_handler_that_waits_for_nothing() -> None:
    """A plain function with injected values is a websocket handler too; the websocket is closed when it returns."""
    events: Events = []
    async with AsyncTestClient(make_app(events)) as client, client.websocket("/sync?page=3") as ws:
        await ws.wait_closed()
        assert ws.close_code == 1000
    assert events == ["sync 3"]
