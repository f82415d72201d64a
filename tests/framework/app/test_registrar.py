"""Registration: every decorator writes down what was asked for, and refuses what makes no sense."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from fairlead import App, Blueprint, Request, text
from fairlead.registrar import Registrar, hosts_of
from fairlead.testing import AsyncTestClient

LISTENERS = (
    "main_process_start",
    "main_process_stop",
    "before_server_start",
    "after_server_start",
    "before_server_stop",
    "after_server_stop",
)


class Callable:
    """A handler that is an object."""

    methods = ("PUT", "post")
    is_stream = True

    def __call__(self, request: Request) -> None: ...


def test_what_a_route_is_called() -> None:
    """A route has its handler's name unless it is given one: a function's, that of what a partial calls, or a class's."""
    registrar = Registrar("names")

    async def handler(request: Request) -> None: ...

    registrar.add_route(handler, "/a")
    registrar.add_route(functools.partial(functools.partial(handler), request=None), "/b")
    registrar.add_route(Callable(), "/c")
    registrar.add_route(handler, "/d", name="own")
    assert [record.name for record in registrar.route_records] == ["handler", "handler", "Callable", "own"]


def test_what_a_handler_says_of_itself() -> None:
    """Methods and streaming of a handler count unless the route says otherwise; without either it is GET."""
    registrar = Registrar("methods")
    registrar.add_route(Callable(), "/a")
    registrar.add_route(Callable(), "/b", ["get"])
    registrar.add_route(lambda request: None, "/c", stream=True)
    records = registrar.route_records
    assert [sorted(record.methods) for record in records] == [["POST", "PUT"], ["GET"], ["GET"]]
    assert [record.stream for record in records] == [True, True, True]


def test_context_of_a_route() -> None:
    """Keywords that begin with `ctx_` are the route's context."""
    registrar = Registrar("context")
    registrar.get("/", ctx_label="x", ctx_number=1)(lambda request: None)
    assert vars(registrar.route_records[0].ctx) == {"label": "x", "number": 1}


@pytest.mark.parametrize(
    ("host", "expected"), [(None, set()), ("A.example", {"a.example"}), (["A.example", "b"], {"a.example", "b"})]
)
def test_hosts(host: Any, expected: set[str]) -> None:
    """None, one or several hosts, compared without case."""
    assert hosts_of(host) == expected


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_a_decorator_for_each_method(method: str) -> None:
    """`@bp.put("/")` registers PUT, and returns the handler as it was."""
    registrar = Registrar("methods")

    def handler(request: Request) -> None: ...

    assert getattr(registrar, method)("/", name="own")(handler) is handler
    [record] = registrar.route_records
    assert (record.methods, record.uri, record.name) == ({method.upper()}, "/", "own")


async def test_own_handler_for_head() -> None:
    """HEAD may have a handler of its own."""
    app = App("head")
    app.get("/", name="get")(lambda request: text("body"))
    app.head("/", name="head")(lambda request: text("", headers={"x-own": "1"}))
    async with AsyncTestClient(app) as client:
        assert (await client.head("/")).headers["x-own"] == "1"
        assert "x-own" not in (await client.get("/")).headers


def test_websocket_routes() -> None:
    """A websocket route is GET with its options; both ways to register it say the same."""
    registrar = Registrar("ws")

    async def feed(request: Request, ws: Any) -> None: ...

    registrar.websocket("/a", subprotocols=["x"], apply=False, max_size=5)(feed)
    registrar.add_websocket_route(feed, "/b", "h", name="own")
    first, second = registrar.route_records
    assert (first.is_websocket, first.apply, first.options) == (True, False, {"subprotocols": ("x",), "max_size": 5})
    assert (second.name, second.hosts, second.options) == ("own", {"h"}, {"subprotocols": ()})


@pytest.mark.parametrize("decorate", [Registrar.on_request, Registrar.on_response, Registrar.middleware])
def test_middleware_with_and_without_brackets(decorate: Any) -> None:
    """`@bp.on_request`, `@bp.on_request(priority=5)`: both return the function and keep the priority."""
    registrar = Registrar("middleware")

    def function(request: Request, response: Any = None) -> None: ...

    assert decorate(registrar, function) is function
    assert decorate(registrar, priority=5)(function) is function
    records = [*registrar.request_middleware, *registrar.response_middleware]
    assert [(record.function, record.priority) for record in records] == [(function, 0), (function, 5)]


@pytest.mark.parametrize("event", LISTENERS)
def test_listeners_with_and_without_brackets(event: str) -> None:
    """Every event has a decorator, with and without a priority; `listener` takes any event."""
    registrar = Registrar("listeners")

    def listener(app: Any) -> None: ...

    decorate = getattr(registrar, event)
    assert decorate(listener) is listener
    assert decorate(priority=5)(listener) is listener
    assert registrar.listener(event)(listener) is listener
    assert registrar.listener(listener, event, priority=1) is listener
    assert registrar.listener_records == [(event, listener, priority) for priority in (0, 5, 0, 1)]


def test_error_handlers() -> None:
    """One handler for one exception, several, or a list of them."""
    registrar = Registrar("errors")

    def handler(request: Request, exc: Exception) -> None: ...

    assert registrar.exception(KeyError, [ValueError, TypeError])(handler) is handler
    assert registrar.error_handlers == {KeyError: handler, ValueError: handler, TypeError: handler}


async def test_static_folder_and_file(tmp_path: Path) -> None:
    """A folder is served below its path, with its index at it; a file at its path; names lead back to both."""
    (tmp_path / "page.html").write_text("page")
    app = App("static")
    app.static("/folder/", tmp_path, index="page.html", name="assets")
    app.static("/file", tmp_path / "page.html", name="one")
    app.static("/bare", tmp_path, name="bare")
    async with AsyncTestClient(app) as client:
        for path in ("/folder/page.html", "/folder/", "/folder", "/file"):
            assert (await client.get(path, follow_redirects=True)).text == "page"
        assert (await client.get("/bare/page.html")).text == "page"
        assert (await client.get("/bare/")).status_code == 404
    assert app.url_for("assets", path="a b/c") == "/folder/a%20b/c"
    assert app.url_for("one") == "/file"


@pytest.mark.parametrize(
    ("register", "error"),
    [
        (lambda registrar: registrar.add_route(print, "/", ["FETCH"]), ValueError),
        (lambda registrar: registrar.add_route(print, "/", speed=1), TypeError),
        (lambda registrar: registrar.add_route(print, "/", error_format="xml"), ValueError),
        (lambda registrar: registrar.add_websocket_route(print, "/", speed=1), TypeError),
        (lambda registrar: registrar.add_websocket_route(print, "/", error_format="xml"), ValueError),
        (lambda registrar: registrar.register_middleware(print, "sideways"), ValueError),
        (lambda registrar: registrar.static("/", "/nonexistent"), ValueError),
    ],
)
def test_what_makes_no_sense(register: Any, error: type[Exception]) -> None:
    """A mistake in a registration is an error where it is made."""
    with pytest.raises(error):
        register(Registrar("wrong"))


@pytest.mark.parametrize("name", ["", "a b", "1a", "ä", "a/b"])
def test_names_that_are_none(name: str) -> None:
    """A name is part of route names and metrics: letters, digits, hyphens."""
    with pytest.raises(ValueError, match="name"):
        Registrar(name)


@pytest.mark.parametrize(
    "register",
    [
        lambda registrar: registrar.add_route(print, "/"),
        lambda registrar: registrar.add_websocket_route(print, "/"),
        lambda registrar: registrar.on_request(print),
        lambda registrar: registrar.exception(KeyError)(print),
        lambda registrar: registrar.before_server_start(print),
    ],
)
def test_nothing_is_added_after_the_start(register: Any) -> None:
    """When the application serves, its blueprints are closed as well: what came later would silently do nothing."""
    app, blueprint = App("closed"), Blueprint("part")
    app.blueprint(blueprint)
    app.finalise()
    for registrar in (app, blueprint):
        with pytest.raises(RuntimeError, match="serving already"):
            register(registrar)


async def test_every_exception() -> None:
    """`all_exceptions` is `exception` for everything."""
    app = App("a")
    app.all_exceptions(lambda request, exception: text(type(exception).__name__, 500))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/none")).text == "NotFound"


@pytest.mark.parametrize(
    "event",
    ["main_process_ready", "reload_process_start", "reload_process_stop", "before_reload_trigger", "after_reload_trigger"],
)
def test_decorators_of_processes(event: str) -> None:
    """There is one for each event."""
    app = App("a")
    listener = getattr(app, event)(lambda app: None)
    assert app.listener_records == [(event, listener, 0)]
