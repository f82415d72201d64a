"""`Sessions`: cookies that are secure by default, two clocks, fixation, failures, streams and websockets (T8)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from fairlead import App, Blueprint, HTTPResponse, Request, json, redis, text
from fairlead.errors import ConfigurationError
from fairlead.sessions import CookieStore, MemoryStore, Session, Sessions, session_of
from fairlead.sessions.redis import RedisStore
from fairlead.testing import AsyncTestClient
from tests.redis_server import RedisServer

from .conftest import COOKIE, SECRET, Clock, browser


def make_app(store: Any, **options: Any) -> App[Any, Any]:
    app: App[Any, Any] = App("app")
    Sessions(store, **options).install(app)

    @app.get("/")
    async def show(request: Request[Any, Any]) -> HTTPResponse:
        return json(dict(session_of(request)))

    @app.get("/untouched")
    async def untouched(request: Request[Any, Any]) -> HTTPResponse:
        return text("", headers={"cache-control": "public, max-age=60"})

    @app.post("/set")
    async def change(request: Request[Any, Any]) -> HTTPResponse:
        session = request.ctx.session
        session.update(request.json)
        return text("", headers={"cache-control": request.headers.get("x-caching", "public, max-age=60")})

    @app.post("/sign-in")
    async def sign_in(request: Request[Any, Any]) -> None:
        request.ctx.session["user"] = "ada"
        request.ctx.session.regenerate()

    @app.post("/sign-out")
    async def sign_out(request: Request[Any, Any]) -> None:
        request.ctx.session.invalidate()

    @app.post("/switch")
    async def switch(request: Request[Any, Any]) -> None:
        request.ctx.session.invalidate()
        request.ctx.session["user"] = "bob"

    @app.post("/clear")
    async def clear(request: Request[Any, Any]) -> None:
        request.ctx.session.clear()

    @app.post("/fail/<status:int>")
    async def fail(request: Request[Any, Any], status: int) -> HTTPResponse:
        request.ctx.session["failed"] = status
        if status == 599:
            raise RuntimeError("broken")
        return text("", status)

    @app.get("/stream")
    async def stream(request: Request[Any, Any]) -> None:
        request.ctx.session["streamed"] = True
        response = await request.respond()
        await response.send("a")
        try:
            request.ctx.session["late"] = True
        except RuntimeError:
            await response.send("b")

    @app.get("/spared")
    @Sessions.exempt
    async def spared(request: Request[Any, Any]) -> HTTPResponse:
        return json(hasattr(request.ctx, "session"))

    @app.websocket("/ws")
    async def ws(request: Request[Any, Any], ws: Any) -> None:
        await ws.send(dict(session_of(request)))
        try:
            request.ctx.session["late"] = True
        except RuntimeError as error:
            await ws.send(str(error))

    return app


def set_cookies(response: httpx.Response) -> list[str]:
    return response.headers.get_list("set-cookie")


async def test_from_request_to_request(store: Any, clock: Clock) -> None:
    """What is set is there next time; nothing is set and nothing kept for who puts nothing in."""
    async with browser(make_app(store, clock=clock)) as client:
        assert set_cookies(await client.get("/")) == []
        response = await client.post("/set", json={"cart": [1]})
        (line,) = set_cookies(response)
        assert line.startswith(f"{COOKIE}=")
        assert set(line.split("; ")[1:]) == {"Path=/", "Max-Age=1800", "SameSite=Lax", "Secure", "HttpOnly"}
        assert response.headers["cache-control"] == "no-store"
        response = await client.get("/")
        assert (response.json(), response.headers["vary"], set_cookies(response)) == ({"cart": [1]}, "Cookie", [])
        await client.post("/set", json={"user": "ada"})
        assert (await client.get("/")).json() == {"cart": [1], "user": "ada"}


async def test_an_answer_that_has_nothing_to_do_with_it(store: Any, clock: Clock) -> None:
    """A page that doesn't look at the session may be cached, varies with nothing, and doesn't prolong it."""
    async with browser(make_app(store, clock=clock)) as client:
        await client.post("/set", json={"a": 1})
        clock.now += 1700
        response = await client.get("/untouched")
        assert (response.headers["cache-control"], "vary" in response.headers) == ("public, max-age=60", False)
        assert set_cookies(response) == []


@pytest.mark.parametrize(("caching", "expected"), [("private, max-age=5", "private, max-age=5"), ("public", "no-store")])
async def test_no_cache_keeps_a_session(clock: Clock, caching: str, expected: str) -> None:
    """An answer with the cookie in a shared cache would sign strangers in."""
    async with browser(make_app(MemoryStore(clock=clock), clock=clock)) as client:
        response = await client.post("/set", json={"a": 1}, headers={"x-caching": caching})
        assert response.headers["cache-control"] == expected


async def test_idle_and_absolute_expiry(store: Any, clock: Clock) -> None:
    """Use prolongs it, up to the end of its life; idle ends it."""
    async with browser(make_app(store, clock=clock, idle_timeout_s=100, lifetime_s=250)) as client:
        await client.post("/set", json={"a": 1})
        clock.now += 9
        assert set_cookies(await client.get("/")) == []  # not a tenth of the idle time has passed
        clock.now += 90
        response = await client.get("/")
        assert (response.json(), "Max-Age=100" in set_cookies(response)[0]) == ({"a": 1}, True)
        clock.now += 90
        assert "Max-Age=61" in set_cookies(await client.get("/"))[0]
        clock.now += 60.5
        assert (await client.get("/")).json() == {"a": 1}
        clock.now += 0.5
        assert (await client.get("/")).json() == {}
        await client.post("/set", json={"a": 1})
        clock.now += 100
        assert (await client.get("/")).json() == {}


async def test_fixation(server_store: Any, clock: Clock) -> None:
    """A planted token is never adopted, and signing in makes a new one; the old one is dead (CWE-384)."""
    async with browser(make_app(server_store, clock=clock)) as client:
        await client.post("/set", json={"cart": 1}, headers={"cookie": f"{COOKIE}={'A' * 43}"})
        planted = client.cookies[COOKIE]
        assert planted != "A" * 43
        await client.post("/sign-in")
        assert (await client.get("/")).json() == {"cart": 1, "user": "ada"}
        response = await client.get("/", headers={"cookie": f"{COOKIE}={planted}"})
        assert response.json() == {}


async def test_regeneration_prolongs(store: Any, clock: Clock) -> None:
    """A renewed session is a new one: its life begins again."""
    async with browser(make_app(store, clock=clock, idle_timeout_s=100, lifetime_s=100)) as client:
        await client.post("/set", json={"cart": 1})
        clock.now += 90
        await client.post("/sign-in")
        clock.now += 90
        assert (await client.get("/")).json() == {"cart": 1, "user": "ada"}


@pytest.mark.parametrize("path", ["/sign-out", "/clear"])
async def test_signing_out(store: Any, clock: Clock, path: str) -> None:
    """The browser's cookie goes, with the attributes that it was set with."""
    async with browser(make_app(store, clock=clock)) as client:
        await client.post("/sign-in")
        token = client.cookies[COOKIE]
        (line,) = set_cookies(await client.post(path))
        assert set(line.split("; ")) == {f"{COOKIE}=", "Path=/", "Max-Age=0", "SameSite=Lax", "Secure", "HttpOnly"}
        assert (await client.get("/")).json() == {}
        revived = (await client.get("/", headers={"cookie": f"{COOKIE}={token}"})).json()
        assert revived == ({"user": "ada"} if isinstance(store, CookieStore) else {})


async def test_another_user(store: Any, clock: Clock) -> None:
    """After `invalidate` a new session begins with what is set then."""
    async with browser(make_app(store, clock=clock)) as client:
        await client.post("/set", json={"secret": 1})
        await client.post("/switch")
        assert (await client.get("/")).json() == {"user": "bob"}
        await client.post("/sign-out")
        assert set_cookies(await client.post("/sign-out")) == []


@pytest.mark.parametrize(("status", "kept"), [(200, True), (404, True), (500, False), (503, False), (599, False)])
async def test_failures(store: Any, clock: Clock, status: int, kept: bool) -> None:
    """After the server's own error nothing of the change is kept."""
    async with browser(make_app(store, clock=clock)) as client:
        await client.post("/set", json={"a": 1})
        await client.post(f"/fail/{status}")
        assert ("failed" in (await client.get("/")).json()) == kept


async def test_streams(store: Any, clock: Clock) -> None:
    """A stream's session is stored with its head; a later change raises."""
    async with browser(make_app(store, clock=clock)) as client:
        assert (await client.get("/stream")).text == "ab"
        assert (await client.get("/")).json() == {"streamed": True}


async def test_websockets(store: Any, clock: Clock) -> None:
    """They see the session of their handshake, and can't change it."""
    async with browser(make_app(store, clock=clock)) as client:
        await client.post("/sign-in")
        async with client.websocket("/ws") as ws:
            assert await ws.recv_json() == {"user": "ada"}
            assert "a websocket's answer sets no cookie" in str(await ws.recv())


async def test_concurrent_requests(server_store: Any, clock: Clock) -> None:
    """Twenty requests of one browser at once, each with a value: none is lost."""
    async with browser(make_app(server_store, clock=clock)) as client:
        await client.post("/set", json={"a": 1})
        await asyncio.gather(*(client.post("/set", json={str(number): number}) for number in range(20)))
        assert len((await client.get("/")).json()) == 21


async def test_a_request_that_outlives_its_session(server_store: Any, clock: Clock) -> None:
    """Signed out while a request was running: it changes nothing and brings no cookie back."""
    app = make_app(server_store, clock=clock)
    inside, go_on = asyncio.Event(), asyncio.Event()

    @app.post("/slow")
    async def slow(request: Request[Any, Any]) -> None:
        inside.set()
        await go_on.wait()
        request.ctx.session["late"] = True

    async with browser(app) as client:
        await client.post("/sign-in")
        token = client.cookies[COOKIE]
        running = asyncio.create_task(client.post("/slow"))
        await inside.wait()
        await client.post("/sign-out")
        go_on.set()
        assert set_cookies(await running) == []
        assert (await client.get("/", headers={"cookie": f"{COOKIE}={token}"})).json() == {}


@pytest.mark.parametrize(
    "cookie",
    ["", "x", "=", "x" * 12_000, "%00", '"', "a.b", "\x80\xff".encode().decode("latin-1"), "..", "%ff.%ff", "ey.ey.ey"],
)
async def test_cookies_that_nobody_set(store: Any, clock: Clock, cookie: str) -> None:
    """Whatever stands there, it is a request without a session."""
    async with browser(make_app(store, clock=clock)) as client:
        fields = [(b"cookie", f"{COOKIE}={cookie}".encode("latin-1"))]
        response = await client.get("/", headers=fields)
        assert (response.status_code, response.json()) == (200, {})


async def test_a_cookie_of_a_sub_domain(server_store: Any, clock: Clock) -> None:
    """A cookie without the `__Host-` prefix, which a sub-domain or plain HTTP can plant, is not ours."""
    async with browser(make_app(server_store, clock=clock)) as client:
        await client.post("/sign-in")
        token = client.cookies[COOKIE]
        for name in ("session", "__Secure-session"):
            assert (await client.get("/", headers={"cookie": f"{name}={token}"})).json() == {}


async def test_plain_http(clock: Clock) -> None:
    """`secure=False` for a developer's machine: the prefix and the flag go, the others stay."""
    async with AsyncTestClient(make_app(MemoryStore(clock=clock), clock=clock, secure=False, samesite="Strict")) as client:
        (line,) = set_cookies(await client.post("/set", json={"a": 1}))
        assert line.startswith("session=")
        assert line.endswith("; Path=/; Max-Age=1800; SameSite=Strict; HttpOnly")
        assert (await client.get("/")).json() == {"a": 1}


async def test_exempt(clock: Clock) -> None:
    """A route may do without."""
    async with browser(make_app(MemoryStore(clock=clock))) as client:
        assert (await client.get("/spared")).json() is False


async def test_outage(tmp_path: Path, clock: Clock) -> None:
    """Without Redis: 503 for who has a session, nothing for who has none; never a session that is somebody else's."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    app = make_app(lambda app: app.ctx.sessions, clock=clock)
    app.ctx.sessions = RedisStore(redis.attach(app, server.url, critical=False))
    async with browser(app) as client:
        await client.post("/sign-in")
        server.kill()
        assert (await client.get("/")).status_code == 503
        assert (await client.get("/", headers={"cookie": "other=1"})).json() == {}


async def test_too_large(store: Any, clock: Clock) -> None:
    """More than a store takes is an error of the handler's, at once and not only for who sees no cookie."""
    async with browser(make_app(store, clock=clock)) as client:
        assert (await client.post("/set", json={"text": "x" * 40_000})).status_code == 500
        assert (await client.get("/")).json() == {}


@pytest.mark.parametrize("options", [{"idle_timeout_s": 0}, {"idle_timeout_s": -1}, {"idle_timeout_s": 10, "lifetime_s": 5}])
def test_impossible_times(options: dict[str, Any]) -> None:
    """Found when the app is built."""
    with pytest.raises(ConfigurationError):
        Sessions(MemoryStore(), **options)


def test_without_a_secret() -> None:
    """There is no default secret: an application without one doesn't start (P7, K7)."""
    with pytest.raises(TypeError):
        CookieStore()  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError):
        CookieStore("")
    with pytest.raises(ValueError, match="samesite"):
        Sessions(CookieStore(SECRET), samesite="None", secure=False)


async def test_by_annotation() -> None:
    """A handler that asks for `Session` is given it, on an application, a blueprint and in a group."""
    app: App[Any, Any] = App("app")
    part, member = Blueprint("part", "/part"), Blueprint("member", "/member")
    group = Blueprint.group(member)
    for target in (part, group):
        Sessions(MemoryStore()).install(target)

    async def count(request: Request[Any, Any], session: Session) -> HTTPResponse:
        session["count"] = session.get("count", 0) + 1
        return json([session["count"], session is request.ctx.session])

    async def plain(request: Request[Any, Any]) -> HTTPResponse:
        return json(len(session_of(request)))

    part.add_route(count, "/")
    member.add_route(plain, "/")
    app.blueprint([part, group])
    async with browser(app) as client:
        assert [(await client.get("/part/")).json() for _ in range(2)] == [[1, True], [2, True]]
        assert (await client.get("/member/")).json() == 0


def test_without_sessions() -> None:
    """Asking for a session where there are none says what is missing."""
    request: Any = type("Request", (), {"ctx": object()})
    with pytest.raises(RuntimeError, match="install"):
        session_of(request)
