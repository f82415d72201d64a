"""Sanic's guide, chapter Routing: runs on Sanic and on Fairlead (S; see framework.py).

Without postponed annotations: Sanic reads the handlers' only as they are.
"""

import datetime
import uuid
from typing import Any

import pytest

from tests.framework.guide.framework import ON_SANIC, App, Blueprint, redirect, text

UUID = "123a123a-a12a-1a1a-a1a1-1a12a1a12345"


def shown(path: str, pattern: str, **types: type) -> tuple[int, str]:
    """Status and text for a path on an application with one route, whose handler shows its parameters and their types."""
    app = App("shown")

    @app.get(pattern)
    async def handler(request: Any, **parameters: Any) -> Any:
        return text(" ".join(f"{name}={value!s}:{type(value).__name__}" for name, value in parameters.items()))

    _, response = app.test_client.get(path)
    return response.status, response.text


def test_adding_routes() -> None:
    """`add_route` answers GET unless it is told other methods; there is a decorator for each; others are 405."""
    app = App("routes")

    async def handler(request: Any) -> Any:
        return text(request.method)

    app.add_route(handler, "/default")
    app.add_route(handler, "/two", methods=["POST", "PUT"], name="two")
    for method in ("get", "post", "put", "patch", "delete", "options"):
        getattr(app, method)(f"/{method}", name=method)(handler)
    app.route("/route", methods=["GET", "DELETE"], name="route")(handler)
    client = app.test_client
    assert client.get("/default")[1].text == "GET"
    assert client.post("/default")[1].status == 405
    assert client.put("/two")[1].text == "PUT"
    assert client.get("/two")[1].status == 405
    for method in ("get", "post", "put", "patch", "delete", "options"):
        assert getattr(client, method)(f"/{method}")[1].text == method.upper()
    assert client.delete("/route")[1].text == "DELETE"
    assert client.get("/nowhere")[1].status == 404


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/to/<foo>", "/to/Bob", "foo=Bob:str"),
        ("/to/<foo:str>", "/to/Bob", "foo=Bob:str"),
        ("/to/<foo:str>", "/to/", None),
        ("/to/<foo:strorempty>", "/to/", "foo=:str"),
        ("/to/<foo:strorempty>", "/to/Bob", "foo=Bob:str"),
        ("/to/<foo:int>", "/to/-10", "foo=-10:int"),
        ("/to/<foo:int>", "/to/1.5", None),
        ("/to/<foo:float>", "/to/1.5", "foo=1.5:float"),
        ("/to/<foo:float>", "/to/10", "foo=10.0:float"),
        ("/to/<foo:alpha>", "/to/Python", "foo=Python:str"),
        ("/to/<foo:alpha>", "/to/Py3", None),
        ("/to/<foo:slug>", "/to/or-has-digits-123", "foo=or-has-digits-123:str"),
        ("/to/<foo:slug>", "/to/Not_A_Slug", None),
        ("/to/<foo:path>", "/to/hello/world.txt", "foo=hello/world.txt:str"),
        ("/to/<foo:ymd>", "/to/2021-03-28", f"foo={datetime.date(2021, 3, 28)}:date"),
        ("/to/<foo:uuid>", f"/to/{UUID}", f"foo={uuid.UUID(UUID)}:UUID"),
        ("/to/<foo:uuid>", "/to/12345", None),
        ("/to/<file:ext>", "/to/page.txt", "file=page:str ext=txt:str"),
        ("/to/<file:ext=jpg>", "/to/cat.jpg", "file=cat:str ext=jpg:str"),
        ("/to/<file:ext=jpg>", "/to/cat.png", None),
        (r"/to/<file:ext=jpg|png|gif|svg>", "/to/cat.svg", "file=cat:str ext=svg:str"),
        ("/to/<file=int:ext>", "/to/123.txt", "file=123:int ext=txt:str"),
        ("/to/<file=int:ext>", "/to/abc.txt", None),
        (r"/to/<file=int:ext=jpg|png|gif|svg>", "/to/123.svg", "file=123:int ext=svg:str"),
        ("/to/<file=float:ext=tar.gz>", "/to/3.14.tar.gz", "file=3.14:float ext=tar.gz:str"),
        pytest.param(
            *(r"/to/<foo:([12]\d{3}-(0[1-9]|1[0-2]))>", "/to/2021-01", "foo=2021-01:str"),
            marks=pytest.mark.skipif(ON_SANIC, reason="Sanic refuses a group in a group, which its guide shows"),
        ),
        (r"/image/<img_id:(?P<img_id>\d+)\.jpg>", "/image/123456789.jpg", "img_id=123456789:str"),
        (r"/<foo:[a-z]{3}.txt>", "/abc.txt", "foo=abc.txt:str"),
        (r"/<foo:([a-z]{3}).txt>", "/abc.txt", "foo=abc:str"),
        (r"/<foo:(?P<foo>[a-z]{3}).(?:txt)>", "/abc.txt", "foo=abc:str"),
    ],
)
def test_path_parameters(pattern: str, path: str, expected: str | None) -> None:
    """Every type takes what the guide says, converts it, and lets other paths be 404."""
    status, body = shown(path, pattern)
    assert (status, body) == (200, expected) if expected is not None else status == 404


def test_type_from_the_signature() -> None:
    """A parameter without a type takes it from the handler's annotation: `int`, `UUID` and their like."""
    app = App("signature")

    @app.get("/number/<foo>")
    async def number(request: Any, foo: int) -> Any:
        return text(type(foo).__name__)

    @app.get("/uuid/<foo_id>")
    async def unique(request: Any, foo_id: uuid.UUID) -> Any:
        return text(type(foo_id).__name__)

    assert app.test_client.get("/number/7")[1].text == "int"
    assert app.test_client.get("/number/seven")[1].status == 404
    assert app.test_client.get(f"/uuid/{UUID}")[1].text == "UUID"


def test_url_for() -> None:
    """By the handler's name; what is no path parameter becomes the query, lists repeat, the underscore options as documented."""
    app = App("urls")

    @app.get("/")
    async def index(request: Any) -> Any:
        return redirect(app.url_for("post_handler", post_id=5))

    @app.get("/posts/<post_id>")
    async def post_handler(request: Any, post_id: str) -> Any:
        return text(f"Post - {post_id}")

    @app.get("/get", name="get_handler")
    def handler(request: Any) -> Any:
        return text("OK")

    assert app.test_client.get("/")[1].text == "Post - 5"
    url_for, posts = app.url_for, {"view_name": "post_handler", "post_id": 5}
    assert url_for(**posts, arg_one="one", arg_two="two") == "/posts/5?arg_one=one&arg_two=two"
    assert url_for(**posts, arg_one=["one", "two"]) == "/posts/5?arg_one=one&arg_one=two"
    assert url_for(**posts, arg_one="one", _anchor="anchor") == "/posts/5?arg_one=one#anchor"
    everything = {"_anchor": "anchor", "_scheme": "http", "_external": True, "_server": "another_server:8888"}
    assert url_for(**posts, arg_one="one", **everything) == "http://another_server:8888/posts/5?arg_one=one#anchor"
    assert url_for("get_handler", foo="bar") == "/get?foo=bar"
    app.config.SERVER_NAME = "server"
    assert url_for(**posts, _scheme="http", _external=True) == "http://server/posts/5"


def test_strict_slashes() -> None:
    """Route before blueprint before application."""
    app = App("strict", strict_slashes=True)
    bp = Blueprint("bp", url_prefix="/bp", strict_slashes=False)

    def handler(request: Any) -> Any:
        return text("OK")

    app.add_route(handler, "/app", name="app")
    app.add_route(handler, "/own", strict_slashes=False, name="own")
    bp.add_route(handler, "/loose", name="loose")
    bp.add_route(handler, "/strict", strict_slashes=True, name="strict")
    app.blueprint(bp)
    statuses = {path: app.test_client.get(path)[1].status for path in ("/app/", "/own/", "/bp/loose/", "/bp/strict/")}
    assert statuses == {"/app/": 404, "/own/": 200, "/bp/loose/": 200, "/bp/strict/": 404}


def test_unquoting() -> None:
    """`unquote` gives parameters decoded. (Fairlead always does.)"""
    app = App("unquoting")

    @app.get("/say/<what>", unquote=True)
    async def handler(request: Any, what: str) -> Any:
        return text(what)

    assert app.test_client.get("/say/gr%C3%BC%C3%9F%20dich")[1].text == "grüß dich"


def test_route_context() -> None:
    """Keywords that begin with `ctx_` are at `request.route.ctx`."""
    app = App("context")

    @app.get("/1", ctx_label="something")
    async def handler(request: Any) -> Any:
        return text(request.route.ctx.label)

    assert app.test_client.get("/1")[1].text == "something"


def test_hosts() -> None:
    """One path, an answer for each host."""
    app = App("hosts")

    @app.get("/", host="example.com")
    async def one(request: Any) -> Any:
        return text("example")

    @app.get("/", host=["other.com", "another.com"])
    async def two(request: Any) -> Any:
        return text("other")

    for host, expected in (("example.com", "example"), ("another.com", "other")):
        assert app.test_client.get("/", headers={"host": host})[1].text == expected
