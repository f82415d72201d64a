"""Handler parameters by annotation: bad input is answered with its location (S, extension layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest

from fairlead import App, Body, Query, Request, json
from fairlead.testing import AsyncTestClient


class Price(msgspec.Struct, forbid_unknown_fields=True):
    """An amount."""

    amount: Annotated[int, msgspec.Meta(ge=0)]
    currency: str


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """A body."""

    name: str
    price: Price
    tags: list[str] = []


@dataclass
class Page:
    """A query."""

    limit: int = 10
    tag: list[str] | None = None
    kinds: list[int] = ()  # type: ignore[assignment]
    exact: bool = False


def make_app() -> App:
    """Handlers with every kind of parameter."""
    app = App("injection")

    @app.post("/items")
    async def create(request: Request, item: Body[Item]) -> object:
        return json(item)

    @app.put("/items/<kind>/<id:int>")
    async def replace(request: Request, id: int, item: Body[Item], kind: str, page: Query[Page]) -> object:
        return json([kind, id, item.name, page.limit])

    @app.get("/items")
    def index(request: Request, page: Query[Page]) -> object:
        return json(page)

    @app.get("/any/<a>/<b>")
    async def anything(request: Request, **values: Any) -> object:
        return json(values)

    return app


ITEM = {"name": "n", "price": {"amount": 1, "currency": "EUR"}}


async def test_values_arrive() -> None:
    """Body, query and path parameters arrive by name, whatever their order."""
    async with AsyncTestClient(make_app()) as client:
        assert (await client.post("/items", json=ITEM)).json() == {**ITEM, "tags": []}
        assert (await client.put("/items/a/7?limit=3", json=ITEM)).json() == ["a", 7, "n", 3]
        assert (await client.get("/items?limit=5&exact=true&kinds=1&kinds=2")).json()["kinds"] == [1, 2]
        assert (await client.get("/any/1/2")).json() == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("body", "status", "location"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b'{"name": "\xff"}', 400, None),
        (b"[" * 100_000, 400, None),
        (b"[]", 422, "body"),
        (b"{}", 422, "body body"),
        (b'{"name": 1, "price": {"amount": 1, "currency": "EUR"}}', 422, "body.name"),
        (b'{"name": "n", "price": {"amount": "1", "currency": "EUR"}}', 422, "body.price.amount"),
        (b'{"name": "n", "price": {"amount": -1, "currency": "EUR"}}', 422, "body.price.amount"),
        (b'{"name": "n", "price": {"amount": 1, "currency": "EUR"}, "tags": ["a", 1]}', 422, "body.tags[1]"),
        (b'{"name": "n", "price": {"amount": 1, "currency": "EUR", "x": 1}}', 422, "body.price"),
        (b'{"name": "n", "price": {"amount": 1, "currency": "EUR"}, "x": 1}', 422, "body"),
    ],
)
async def test_bad_bodies(body: bytes, status: int, location: str | None) -> None:
    """Malformed JSON is 400, a value that doesn't fit 422 with its location, as problem details."""
    async with AsyncTestClient(make_app()) as client:
        response = await client.post("/items", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    if location is not None:
        assert [error["location"] for error in response.json()["errors"]] == location.split()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_bodies_that_are_not_sent_as_json(kind: str | None) -> None:
    """JSON under another type is 415: a cross-site form can't reach a JSON endpoint (SEC-A03)."""
    async with AsyncTestClient(make_app()) as client:
        response = await client.post("/items", content=b"{}", headers={"content-type": kind} if kind else {})
    assert response.status_code == 415


@pytest.mark.parametrize(
    ("query", "location"), [("limit=x", "query.limit"), ("limit=1&limit=2", "query.limit"), ("exact=2", "query.exact")]
)
async def test_bad_queries(query: str, location: str) -> None:
    """A query parameter that doesn't fit, or is given twice, is 422 with its location."""
    async with AsyncTestClient(make_app()) as client:
        response = await client.get(f"/items?{query}")
    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == location.split()


async def test_websockets_have_their_values_too() -> None:
    """A websocket's handler takes a query as any handler does, behind its request and its socket."""
    app = App("sockets")

    @app.websocket("/ws")
    async def feed(request: Request, ws: Any, page: Query[Page]) -> None:
        await ws.send(str(page.limit))

    @app.websocket("/ws/<room>")
    async def room(request: Request, ws: Any, page: Query[Page], room: str) -> None:
        await ws.send(f"{room} {page.limit}")

    async with AsyncTestClient(app) as client:
        async with client.websocket("/ws?limit=3") as ws:
            assert await ws.recv() == "3"
        async with client.websocket("/ws/x?limit=4") as ws:
            assert await ws.recv() == "x 4"


async def test_annotations_of_other_kinds() -> None:
    """Annotations of anybody else, and such that can't be resolved here, are none of ours."""
    app = App("others")

    @app.get("/a/<x>")
    async def other(request: Request, x: Annotated[str, "a note"]) -> object:
        return json(x)

    @app.get("/b/<x>")
    async def unresolved(request: Request, x: "Nowhere") -> object:  # type: ignore[name-defined]  # noqa: F821, UP037
        return json(x)

    async with AsyncTestClient(app) as client:
        assert [(await client.get(f"/{name}/1")).json() for name in "ab"] == ["1", "1"]


def test_handlers_that_do_not_fit_their_path() -> None:
    """A handler that can't take its path's parameters is an error at the start, with its name."""
    app = App("unfit")

    @app.get("/<id>")
    async def without(request: Request) -> None: ...

    with pytest.raises(TypeError, match="without"):
        app.finalise()
