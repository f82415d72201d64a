"""Class-based views (T6, S)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fairlead import App, Blueprint, Body, HTTPResponse, Request, json, text
from fairlead.limits import RateLimit
from fairlead.testing import AsyncTestClient
from fairlead.views import HTTPMethodView, stream


@dataclass
class Item:
    """A body."""

    name: str


class Items(HTTPMethodView):
    """Every kind of method."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def get(self, request: Request, id: int) -> HTTPResponse:
        """Plain."""
        return text(f"{self.prefix}get {id}")

    async def put(self, request: Request, id: int, body: Body[Item]) -> HTTPResponse:
        """Async, with an injected body."""
        return json({"id": id, "name": body.name})

    @stream
    async def post(self, request: Request, id: int) -> HTTPResponse:
        """Reads the body itself."""
        assert request.stream is not None
        return text(b"".join([chunk async for chunk in request.stream]).decode())

    @staticmethod
    def delete(request: Request, id: int) -> HTTPResponse:
        """Needs no instance."""
        return text(f"delete {id}")


def marked(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as users write them."""

    @functools.wraps(handler)
    async def wrapper(request: Request, *arguments: Any, **named: Any) -> HTTPResponse:
        response = handler(request, *arguments, **named)
        if not isinstance(response, HTTPResponse):
            response = await response
        response.headers["x-marked"] = request.method
        return response

    return wrapper


async def test_methods() -> None:
    """Each method answers for itself, with its own parameters, body and stream; HEAD is GET's, others are 405 with Allow."""
    app = App("a")
    app.add_route(Items.as_view("> "), "/items/<id:int>")
    async with AsyncTestClient(app) as client:
        assert (await client.get("/items/7")).text == "> get 7"
        assert (await client.put("/items/7", json={"name": "nut"})).json() == {"id": 7, "name": "nut"}
        assert (await client.put("/items/7", json={"name": 1})).status_code == 422
        assert (await client.post("/items/7", content=b"streamed")).text == "streamed"
        assert (await client.delete("/items/7")).text == "delete 7"
        head = await client.head("/items/7")
        assert (head.status_code, head.text) == (200, "")
        refused = await client.patch("/items/7")
        assert refused.status_code == 405
        assert refused.headers["allow"] == "DELETE, GET, HEAD, POST, PUT"
        assert (await client.options("/items/7")).status_code == 405
    assert app.url_for("Items", id=7) == "/items/7"


async def test_some_of_its_methods() -> None:
    """Methods that are named when it is registered are those that it answers."""
    app = App("a")
    app.add_route(Items.as_view(), "/get/<id:int>", ["GET"], name="get")
    app.delete("/delete/<id:int>", name="delete")(Items.as_view())
    async with AsyncTestClient(app) as client:
        assert (await client.get("/get/7")).text == "get 7"
        assert (await client.put("/get/7")).status_code == 405
        assert (await client.delete("/delete/7")).text == "delete 7"
        assert (await client.get("/delete/7")).status_code == 405


async def test_where_it_is_defined() -> None:
    """`attach` registers a subclass with an application or a blueprint, with the options of `add_route`."""
    app, blueprint = App("a"), Blueprint("b", url_prefix="/b")

    class One(HTTPMethodView, attach=app, uri="/one", version=2, name="first"):
        def options(self, request: Request) -> HTTPResponse:
            return text("options")

    class Two(HTTPMethodView, attach=blueprint, uri="/two"):
        def head(self, request: Request) -> HTTPResponse:
            return text("", headers={"x-own": "1"})

    app.blueprint(blueprint)
    async with AsyncTestClient(app) as client:
        assert (await client.options("/v2/one")).text == "options"
        assert (await client.head("/b/two")).headers["x-own"] == "1"
    assert app.url_for("first") == "/v2/one"
    assert app.url_for("b.Two") == "/b/two"
    with pytest.raises(TypeError, match="Three: uri, version without attach"):

        class Three(HTTPMethodView, uri="/three", version=1):
            pass


async def test_decorators() -> None:
    """Of the class, of one method, and around the view as a whole: none of them is passed by."""
    app = App("a")

    class All(HTTPMethodView):
        decorators = [marked]  # noqa: RUF012  the way in which Sanic's guide writes it

        def get(self, request: Request) -> HTTPResponse:
            return text("get")

        def post(self, request: Request) -> HTTPResponse:
            return text("post")

    class Some(HTTPMethodView):
        @marked
        def get(self, request: Request) -> HTTPResponse:
            return text("get")

        def post(self, request: Request) -> HTTPResponse:
            return text("post")

    app.add_route(All.as_view(), "/all")
    app.add_route(marked(All.as_view()), "/whole", name="whole")
    async with AsyncTestClient(app) as client:
        for path in ("/all", "/whole"):
            for method in ("GET", "POST", "HEAD"):
                assert (await client.request(method, path)).headers["x-marked"] == method
            assert (await client.delete(path)).status_code == 405


async def test_extensions() -> None:
    """Extensions on a method, on the class and on the view hold, each for what it was put on."""
    app = App("a")

    class Limited(HTTPMethodView):
        @RateLimit("own", 1, window_s=60)
        async def post(self, request: Request) -> HTTPResponse:
            return text("post")

        def get(self, request: Request) -> HTTPResponse:
            return text("get")

    class All(HTTPMethodView):
        decorators = (RateLimit("all", 1, window_s=60),)

        def get(self, request: Request) -> HTTPResponse:
            return text("get")

    app.add_route(Limited.as_view(), "/method")
    app.add_route(All.as_view(), "/class")
    app.add_route(RateLimit("all", 1, window_s=60)(Limited.as_view()), "/view", name="view")
    async with AsyncTestClient(app) as client:
        for method, path, second in (
            ("POST", "/method", 429),
            ("GET", "/method", 200),
            ("GET", "/class", 429),
            ("GET", "/view", 429),
        ):
            statuses = [(await client.request(method, path)).status_code for _ in range(2)]
            assert statuses == [200, second], (method, path)


async def test_a_dispatch_of_its_own() -> None:
    """A subclass may do something around its methods; each request has an instance of its own."""
    app, seen = App("a"), []

    class Own(HTTPMethodView, attach=app, uri="/"):
        def dispatch_request(self, request: Any, *values: Any, **named: Any) -> Any:
            seen.append(self)
            return super().dispatch_request(request, *values, **named)

        @classmethod
        async def get(cls, request: Request) -> HTTPResponse:
            return text(cls.__name__)

    async with AsyncTestClient(app) as client:
        assert [(await client.get("/")).text for _ in range(2)] == ["Own", "Own"]
    assert seen[0] is not seen[1]
