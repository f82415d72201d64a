"""Extensions: installed around many routes or noted on one, in one order however they were added."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import pytest

from fairlead import App, Blueprint, HTTPResponse, Request, text
from fairlead.extension import Extension, provided
from fairlead.testing import AsyncTestClient, HandshakeRefused
from fairlead.types import Middleware


class Tag(Extension):
    """Writes its name on the way in and on the way out."""

    order: ClassVar[int] = 0

    def __init__(self, name: str, *, refuse: bool = False) -> None:
        self._name = name
        self._refuse = refuse

    def middleware(self) -> tuple[Middleware, Middleware]:
        return self._enter, self._leave

    def _enter(self, request: Request[Any, Any]) -> HTTPResponse | None:
        if self.spares(request):
            return None
        request.ctx.__dict__.setdefault("seen", []).append(self._name)
        return text("no", 429) if self._refuse else None

    def _leave(self, request: Request[Any, Any], response: HTTPResponse) -> None:
        if not self.spares(request):
            response.headers.add("left", self._name)


class First(Tag):
    order: ClassVar[int] = 5


class Silent(Extension):
    def middleware(self) -> tuple[None, None]:
        return None, None


async def seen(request: Request[Any, Any], *_: Any) -> HTTPResponse:
    return text(",".join(getattr(request.ctx, "seen", [])))


async def get(app: App[Any, Any], path: str = "/") -> tuple[str, list[str]]:
    async with AsyncTestClient(app) as client:
        response = await client.get(path)
    return response.text, response.headers.get_list("left")


async def test_app_blueprint_and_route() -> None:
    """Outer ones come first on the way in and last on the way out; `order` goes before the place."""
    app: App[Any, Any] = App("app")
    blueprint = Blueprint("part", "/part")

    @blueprint.get("/")
    @Tag("route")
    @First("first")
    async def handler(request: Request[Any, Any]) -> HTTPResponse:
        return await seen(request)

    app.get("/")(seen)
    app.blueprint(blueprint)
    tag = Tag("app")
    assert tag.install(app) is tag
    Tag("blueprint").install(blueprint)
    assert await get(app, "/part/") == ("first,app,blueprint,route", ["route", "blueprint", "app", "first"])
    assert await get(app) == ("app", ["app"])


async def test_group() -> None:
    """A group passes it on to its members."""
    app: App[Any, Any] = App("app")
    blueprint = Blueprint("part", "/part")
    blueprint.get("/")(seen)
    group = Blueprint.group(blueprint)
    Tag("group").install(group)
    app.blueprint(group)
    assert await get(app, "/part/") == ("group", ["group"])


async def test_a_decorator_above_the_route() -> None:
    """The note is read when the application is finalised, so the order of the decorators doesn't matter."""
    app: App[Any, Any] = App("app")

    @Tag("above")
    @app.get("/")
    async def handler(request: Request[Any, Any]) -> HTTPResponse:
        return await seen(request)

    assert await get(app) == ("above", ["above"])


async def test_a_wrapped_handler_keeps_its_note() -> None:
    """`functools.wraps` carries it on, and a note on the wrapper is not one on what is inside."""
    app: App[Any, Any] = App("app")

    @Tag("inner")
    async def inner(request: Request[Any, Any]) -> HTTPResponse:
        return await seen(request)

    @Tag("outer")
    @functools.wraps(inner)
    async def outer(request: Request[Any, Any]) -> HTTPResponse:
        return await inner(request)

    app.add_route(outer, "/outer", name="outer")
    app.add_route(inner, "/inner", name="inner")
    assert await get(app, "/outer") == ("inner,outer", ["outer", "inner"])
    assert await get(app, "/inner") == ("inner", ["inner"])


async def test_partial_handlers() -> None:
    """A note is found on the function that `functools.partial` was given, too: a guard is never lost that way."""
    app: App[Any, Any] = App("app")
    Tag("app").install(app)

    @Tag("noted")
    async def noted(request: Request[Any, Any], extra: str) -> HTTPResponse:
        return await seen(request)

    @Tag.exempt
    async def spared(request: Request[Any, Any], extra: str) -> HTTPResponse:
        return await seen(request)

    app.add_route(functools.partial(noted, extra="x"), "/one", name="one")
    app.add_route(Tag("partial")(functools.partial(noted, extra="x")), "/two", name="two")
    app.add_route(functools.partial(spared, extra="x"), "/three", name="three")
    assert await get(app, "/one") == ("app,noted", ["noted", "app"])
    assert await get(app, "/two") == ("app,noted,partial", ["partial", "noted", "app"])
    assert await get(app, "/three") == ("", [])


async def test_a_websocket_is_refused_before_it_opens() -> None:
    """An extension's answer to a handshake has its real status (W7)."""
    app: App[Any, Any] = App("app")

    @app.websocket("/feed")
    @Tag("refusing", refuse=True)
    async def feed(request: Request[Any, Any], ws: Any) -> None:
        raise AssertionError("unreachable")

    async with AsyncTestClient(app) as client:
        with pytest.raises(HandshakeRefused) as refused:
            async with client.websocket("/feed"):
                raise AssertionError("unreachable")
    assert (refused.value.response.status_code, refused.value.response.headers["left"]) == (429, "refusing")


async def test_a_websocket_without_middleware() -> None:
    """`apply=False` leaves out what is around the route, and never what was put on its handler: a guard stays."""
    app: App[Any, Any] = App("app")
    Tag("app").install(app)

    @app.websocket("/feed", apply=False)
    @Tag("own")
    async def feed(request: Request[Any, Any], ws: Any) -> None:
        await ws.send(",".join(request.ctx.seen))

    async with AsyncTestClient(app) as client, client.websocket("/feed") as ws:
        assert await ws.recv() == "own"


async def test_exempt() -> None:
    """One route is left out of the extensions of one class; paths without a route are not."""
    app: App[Any, Any] = App("app")
    Tag("tag").install(app)
    First("first").install(app)
    app.get("/")(Tag.exempt(seen))
    assert await get(app) == ("first", ["first"])
    assert (await get(app, "/missing"))[1] == ["tag", "first"]


def test_what_can_not_be_decorated() -> None:
    """A bound method has no place for a note: said at once, not ignored."""

    class View:
        def get(self, request: Request[Any, Any]) -> None: ...

    with pytest.raises(TypeError, match="can't be decorated"):
        Tag("tag")(View().get)
    with pytest.raises(TypeError, match="can't be decorated"):
        Tag.exempt(View().get)


async def test_without_middleware() -> None:
    """An extension that needs neither adds neither: the route's callable stays the handler itself."""
    app: App[Any, Any] = App("app")
    Silent().install(app)
    app.get("/")(Silent()(seen))
    app.finalise()
    assert app.router.routes_by_name["app.seen"].call is seen
    with pytest.raises(NotImplementedError):
        Extension().install(app)


def test_backends_by_the_app() -> None:
    """A backend, or a function of the app that gives one."""
    backend: dict[str, str] = {}
    request: Any = type("Request", (), {"app": "the app"})
    assert provided(backend, request) is backend
    assert provided(lambda app: app, request) == "the app"
