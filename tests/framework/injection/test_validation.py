"""Malformed values: each source's table, with the exact problem details, and everything that is wrong at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

import attrs
import httpx
import pydantic
import pytest
from msgspec import Meta, Struct

from fairlead import App, Body, Cookie, Form, Header, Path, Query, Request, json, validate
from fairlead.testing import AsyncTestClient
from fairlead.uploads import File

Positive = Annotated[int, Meta(ge=1)]


class Filter(Struct, forbid_unknown_fields=True):
    limit: Positive = 10
    tag: list[str] = []
    since: int | None = None
    kind: Literal["a", "b"] = "a"


class Fields(Struct):
    x_token: Annotated[str, Meta(min_length=3)]
    if_match: list[str] = []
    x_count: int = 0


class Crumbs(Struct):
    session: UUID
    theme: Literal["light", "dark"] = "light"


class Place(Struct):
    shelf: Annotated[int, Meta(le=9)]
    code: Annotated[str, Meta(pattern="^[A-Z]+$")]


class Upload(Struct):
    title: Annotated[str, Meta(max_length=5)]
    photo: File
    copies: Positive = 1
    pages: list[File] = []


class Price(Struct, forbid_unknown_fields=True):
    amount: Annotated[int, Meta(ge=0)]
    currency: Literal["EUR", "USD"]


class Cat(Struct, tag="cat"):
    lives: Positive


class Dog(Struct, tag="dog"):
    tricks: list[str]


class Item(Struct, forbid_unknown_fields=True):
    name: str
    price: Price
    tags: list[Annotated[str, Meta(min_length=2)]] = []
    sizes: dict[str, Positive] = {}
    pet: Cat | Dog | None = None
    pair: tuple[int, str] | None = None


@dataclass
class ItemData:
    name: str
    price: Price
    tags: list[str] = field(default_factory=list)


class ItemDict(TypedDict):
    name: str
    price: Price
    note: NotRequired[str]


@attrs.define
class ItemAttrs:
    name: str
    price: Price
    tags: list[str] = attrs.field(factory=list)


class ItemModel(pydantic.BaseModel):
    name: str
    amount: int = pydantic.Field(ge=0)
    tags: list[str] = []


class PageModel(pydantic.BaseModel):
    limit: int = pydantic.Field(10, ge=1)
    tag: list[str] = []


def make_app() -> App:
    """A route for every source."""
    app = App("validation")

    @app.get("/query")
    async def query(request: Request, given: Query[Filter]) -> object:
        return json(given)

    @app.get("/single")
    async def single(request: Request, page: Query[Positive], tag: Query[list[int]] = [], sort: Query[str] = "id") -> object:  # noqa: B006
        return json([page, tag, sort])

    @app.get("/headers")
    async def headers(request: Request, given: Header[Fields]) -> object:
        return json(given)

    @app.get("/header")
    async def header(request: Request, x_number: Header[Positive], accept: Header[str] = "") -> object:
        return json([x_number, accept])

    @app.get("/cookies")
    async def cookies(request: Request, given: Cookie[Crumbs]) -> object:
        return json(given)

    @app.get("/cookie")
    async def cookie(request: Request, count: Cookie[int] = 0) -> object:
        return json(count)

    @app.get("/places/<shelf:int>/<code>")
    async def place(request: Request, given: Path[Place]) -> object:
        return json(given)

    @app.get("/shelves/<shelf:int>/<code>")
    async def shelf(request: Request, code: Path[Annotated[str, Meta(min_length=2)]], shelf: Path[Positive]) -> object:
        return json([shelf, code])

    @app.post("/form")
    async def form(request: Request, given: Form[Upload]) -> object:
        return json([given.title, given.photo.name, given.copies, [page.size for page in given.pages]])

    @app.post("/field")
    async def form_field(request: Request, title: Form[str], copies: Form[int] = 1) -> object:
        return json([title, copies])

    @app.post("/body")
    async def body(request: Request, item: Body[Item]) -> object:
        return json(item)

    @app.post("/items")
    async def items(request: Request, items: Body[list[Item]]) -> object:
        return json(len(items))

    @app.post("/optional")
    async def optional(request: Request, item: Body[Item | None] = None) -> object:
        return json(item)

    @app.post("/everything/<shelf:int>")
    async def everything(
        request: Request,
        shelf: Path[Positive],
        page: Query[Filter],
        x_number: Header[int],
        session: Cookie[UUID],
        item: Body[Item],
    ) -> object:
        return json(None)

    return app


async def send(path: str, app: App | None = None, **options: Any) -> httpx.Response:
    async with AsyncTestClient(app or make_app()) as client:
        return await client.request(options.pop("method", "GET"), path, **options)


def errors_of(response: httpx.Response) -> list[tuple[str, str]]:
    problem = response.json()
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json"), problem
    assert problem.pop("request_id")
    errors = problem.pop("errors")
    assert problem == {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "The request is well-formed, but its values are not valid",
    }
    return [(error["location"], error["message"]) for error in errors]


NOT_GIVEN = "Required, and not given"

QUERIES: list[tuple[str, list[tuple[str, str]]]] = [
    ("/query?limit=0", [("query.limit", "Expected `int` >= 1")]),
    ("/query?limit=x", [("query.limit", "Expected `int`, got `str`")]),
    ("/query?limit=", [("query.limit", "Expected `int`, got `str`")]),
    ("/query?limit=1&limit=2", [("query.limit", "Given more than once")]),
    ("/query?kind=c", [("query.kind", "Invalid enum value 'c'")]),
    ("/query?since=x", [("query.since", "Expected `int | null`, got `str`")]),
    ("/query?other=1", [("query", "Object contains unknown field `other`")]),
    (
        "/query?limit=0&kind=c&kind=d&other=1&since=x",
        [
            ("query.kind", "Given more than once"),
            ("query.limit", "Expected `int` >= 1"),
            ("query.since", "Expected `int | null`, got `str`"),
            ("query.kind", "Invalid enum value 'c'"),
            ("query", "Object contains unknown field `other`"),
        ],
    ),
    ("/single", [("query.page", NOT_GIVEN)]),
    ("/single?page=0&tag=1&tag=x", [("query.page", "Expected `int` >= 1"), ("query.tag[1]", "Expected `int`, got `str`")]),
    ("/single?page=1&page=1", [("query.page", "Given more than once")]),
    ("/single?page=1&tag=x&tag=y", [("query.tag[0]", "Expected `int`, got `str`"), ("query.tag[1]", "Expected `int`, got `str`")]),
    ("/places/10/a", [("path.shelf", "Expected `int` <= 9"), ("path.code", "Expected `str` matching regex '^[A-Z]+$'")]),
    ("/shelves/0/a", [("path.code", "Expected `str` of length >= 2"), ("path.shelf", "Expected `int` >= 1")]),
]


@pytest.mark.parametrize(("target", "expected"), QUERIES, ids=[target for target, _ in QUERIES])
async def test_malformed_queries_and_paths(target: str, expected: list[tuple[str, str]]) -> None:
    """Every parameter that doesn't fit, under the name that the client knows."""
    assert errors_of(await send(target)) == expected


HEADERS: list[tuple[str, list[tuple[str, str]], list[tuple[str, str]]]] = [
    ("/headers", [], [("header.x-token", NOT_GIVEN)]),
    ("/headers", [("X-Token", "a")], [("header.x-token", "Expected `str` of length >= 3")]),
    ("/headers", [("x-token", "abc"), ("X-Token", "def")], [("header.x-token", "Given more than once")]),
    ("/headers", [("x-count", "x")], [("header.x-token", NOT_GIVEN), ("header.x-count", "Expected `int`, got `str`")]),
    ("/header", [], [("header.x-number", NOT_GIVEN)]),
    ("/header", [("X-Number", "0")], [("header.x-number", "Expected `int` >= 1")]),
    ("/header", [("X-Number", "1"), ("X-Number", "1")], [("header.x-number", "Given more than once")]),
    ("/cookies", [], [("cookie.session", NOT_GIVEN)]),
    (
        "/cookies",
        [("Cookie", "session=x; theme=red")],
        [("cookie.session", "Invalid UUID"), ("cookie.theme", "Invalid enum value 'red'")],
    ),
    (
        "/cookies",
        [("Cookie", "session=x; session=y")],
        [("cookie.session", "Given more than once"), ("cookie.session", "Invalid UUID")],
    ),
    ("/cookie", [("Cookie", "count=x")], [("cookie.count", "Expected `int`, got `str`")]),
]


@pytest.mark.parametrize(("path", "headers", "expected"), HEADERS)
async def test_malformed_headers_and_cookies(path: str, headers: list[tuple[str, str]], expected: list[tuple[str, str]]) -> None:
    """Header fields by their lower-case names with hyphens, cookies by theirs."""
    assert errors_of(await send(path, headers=headers)) == expected


FORMS: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("/form", {"data": {"title": "t"}}, [("form.photo", NOT_GIVEN)]),
    ("/form", {"data": {"photo": "text"}}, [("form.title", NOT_GIVEN), ("form.photo", "Expected `File`, got `str`")]),
    (
        "/form",
        {"data": {"title": "too long", "copies": "0"}, "files": {"photo": b"x"}},
        [("form.title", "Expected `str` of length <= 5"), ("form.copies", "Expected `int` >= 1")],
    ),
    ("/form", {"files": {"photo": b"x", "title": b"x"}}, [("form.title", "Expected `str`, got `File`")]),
    ("/form", {"data": {"title": "t"}, "files": [("photo", b"x"), ("photo", b"y")]}, [("form.photo", "Given more than once")]),
    ("/field", {"data": {"copies": "x"}}, [("form.title", NOT_GIVEN), ("form.copies", "Expected `int`, got `str`")]),
    ("/field", {"data": {"title": ["a", "b"]}}, [("form.title", "Given more than once")]),
]


@pytest.mark.parametrize(("path", "sent", "expected"), FORMS)
async def test_malformed_forms(path: str, sent: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Fields and files that don't fit."""
    assert errors_of(await send(path, method="POST", **sent)) == expected


PRICE = {"amount": 1, "currency": "EUR"}
BODIES: list[tuple[Any, list[tuple[str, str]]]] = [
    ([], [("body", "Expected `object`, got `array`")]),
    ({}, [("body", "Object missing required field `name`"), ("body", "Object missing required field `price`")]),
    ({"name": 1, "price": {"amount": -1}}, [
        ("body.name", "Expected `str`, got `int`"),
        ("body.price.amount", "Expected `int` >= 0"),
        ("body.price", "Object missing required field `currency`"),
    ]),
    ({"name": "n", "price": PRICE | {"tax": 1}, "x": 1}, [
        ("body.price", "Object contains unknown field `tax`"),
        ("body", "Object contains unknown field `x`"),
    ]),
    ({"name": "n", "price": PRICE, "tags": ["ab", "a", 1]}, [
        ("body.tags[1]", "Expected `str` of length >= 2"),
        ("body.tags[2]", "Expected `str`, got `int`"),
    ]),
    ({"name": "n", "price": PRICE, "sizes": {"s": 0, "m": 1, "l": "x"}}, [
        ("body.sizes.s", "Expected `int` >= 1"),
        ("body.sizes.l", "Expected `int`, got `str`"),
    ]),
    ({"name": "n", "price": PRICE, "pet": {"type": "cat", "lives": 0}}, [("body.pet.lives", "Expected `int` >= 1")]),
    ({"name": "n", "price": PRICE, "pet": {"type": "dog", "tricks": [1, 2]}}, [
        ("body.pet.tricks[0]", "Expected `str`, got `int`"),
        ("body.pet.tricks[1]", "Expected `str`, got `int`"),
    ]),
    ({"name": "n", "price": PRICE, "pet": {"type": "cow"}}, [("body.pet.type", "Invalid value 'cow'")]),
    ({"name": "n", "price": PRICE, "pair": ["x", 1]}, [
        ("body.pair[0]", "Expected `int`, got `str`"),
        ("body.pair[1]", "Expected `str`, got `int`"),
    ]),
    ({"name": "n", "price": PRICE, "pair": [1]}, [("body.pair", "Expected `array` of length 2")]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), BODIES)
async def test_malformed_bodies(body: Any, expected: list[tuple[str, str]]) -> None:
    """Every member that doesn't fit, however deep."""
    assert errors_of(await send("/body", method="POST", json=body)) == expected


async def test_malformed_lists() -> None:
    """The elements of a list by their indices."""
    errors = errors_of(await send("/items", method="POST", json=[{"name": "n", "price": PRICE}, {"name": 1, "price": PRICE}, 2]))
    assert errors == [("body[1].name", "Expected `str`, got `int`"), ("body[2]", "Expected `object`, got `int`")]


async def test_all_sources_at_once() -> None:
    """What is wrong in the path, the query, the headers, the cookies and the body is one answer."""
    target = "/everything/0?limit=0&tag=a"
    response = await send(target, method="POST", json={"name": 1, "price": PRICE}, headers={"Cookie": "session=1"})
    assert errors_of(response) == [
        ("path.shelf", "Expected `int` >= 1"),
        ("query.limit", "Expected `int` >= 1"),
        ("header.x-number", NOT_GIVEN),
        ("cookie.session", "Invalid UUID"),
        ("body.name", "Expected `str`, got `int`"),
    ]


@pytest.mark.parametrize(("content", "kind", "status"), [(b"{", "application/json", 400), (b"{}", "text/plain", 415)])
async def test_bodies_that_can_not_be_looked_at(content: bytes, kind: str, status: int) -> None:
    """Malformed JSON is 400 and another media type 415, whatever else is wrong."""
    response = await send("/everything/0", method="POST", content=content, headers={"content-type": kind})
    assert response.status_code == status


async def test_values_that_fit() -> None:
    """What every source gives when nothing is wrong, defaults included."""
    session = "0192f0c1-0000-7000-8000-000000000001"
    async with AsyncTestClient(make_app()) as client:
        assert (await client.get("/query?tag=a&tag=b&since=3")).json() == {"limit": 10, "tag": ["a", "b"], "since": 3, "kind": "a"}
        assert (await client.get("/single?page=2")).json() == [2, [], "id"]
        assert (await client.get("/single?page=2&tag=7&sort=name")).json() == [2, [7], "name"]
        fields = [("X-Token", "abc"), ("If-Match", "a"), ("If-Match", "b")]
        assert (await client.get("/headers", headers=fields)).json() == {"x_token": "abc", "if_match": ["a", "b"], "x_count": 0}
        assert (await client.get("/header", headers={"X-Number": "7", "Accept": "a/b"})).json() == [7, "a/b"]
        cookies = {"Cookie": f"session={session}; other=x; count=3"}
        assert (await client.get("/cookies", headers=cookies)).json() == {"session": session, "theme": "light"}
        assert (await client.get("/cookie", headers=cookies)).json() == 3
        assert (await client.get("/places/3/ABC")).json() == {"shelf": 3, "code": "ABC"}
        assert (await client.get("/shelves/3/abc")).json() == [3, "abc"]
        files = [("photo", ("p.png", b"x")), ("pages", b"12"), ("pages", b"3")]
        assert (await client.post("/form", data={"title": "t"}, files=files)).json() == ["t", "p.png", 1, [2, 1]]
        assert (await client.post("/field", data={"title": "t", "copies": "2"})).json() == ["t", 2]
        assert (await client.post("/optional")).json() is None
        assert (await client.post("/optional", json={"name": "n", "price": PRICE})).json()["name"] == "n"


# Records of every library


def library_app() -> App:
    app = App("libraries")

    @app.post("/data")
    async def data(request: Request, item: Body[ItemData]) -> object:
        return json([type(item).__name__, item])

    @app.post("/dict")
    async def typed_dict(request: Request, item: Body[ItemDict]) -> object:
        return json([type(item).__name__, item])

    @app.post("/attrs")
    async def attrs_class(request: Request, item: Body[ItemAttrs]) -> object:
        return json([type(item).__name__, item])

    @app.post("/model")
    async def model(request: Request, item: Body[ItemModel], page: Query[PageModel]) -> object:
        return json([type(item).__name__, item.model_dump(), page.model_dump()])

    @app.post("/models")
    async def models(request: Request, items: Body[list[ItemModel]]) -> object:
        return json(len(items))

    return app


@pytest.mark.parametrize("path", ["/data", "/dict", "/attrs"])
async def test_records_of_every_library(path: str) -> None:
    """Dataclass, TypedDict and attrs classes are made, and all their faults reported, as a Struct's are."""
    app = library_app()
    made = (await send(path, app, method="POST", json={"name": "n", "price": PRICE})).json()
    assert made[0] == {"/data": "ItemData", "/dict": "dict", "/attrs": "ItemAttrs"}[path]
    assert made[1]["price"] == PRICE
    assert errors_of(await send(path, app, method="POST", json={"name": 1, "price": {"amount": -1, "currency": "X"}})) == [
        ("body.name", "Expected `str`, got `int`"),
        ("body.price.amount", "Expected `int` >= 0"),
        ("body.price.currency", "Invalid enum value 'X'"),
    ]
    assert errors_of(await send(path, app, method="POST", json={})) == [
        ("body", "Object missing required field `name`"),
        ("body", "Object missing required field `price`"),
    ]


async def test_pydantic_models() -> None:
    """A pydantic model validates by its own rules and words; malformed JSON stays 400."""
    app = library_app()
    body = {"name": "n", "amount": 1}
    assert (await send("/model?limit=2&tag=a", app, method="POST", json=body)).json() == [
        "ItemModel",
        {**body, "tags": []},
        {"limit": 2, "tag": ["a"]},
    ]
    assert errors_of(await send("/model?limit=0", app, method="POST", json={"amount": -1, "tags": ["a", 1]})) == [
        ("body.name", "Field required"),
        ("body.amount", "Input should be greater than or equal to 0"),
        ("body.tags[1]", "Input should be a valid string"),
        ("query.limit", "Input should be greater than or equal to 1"),
    ]
    assert errors_of(await send("/models", app, method="POST", json=[body, {"name": "n"}])) == [
        ("body[1].amount", "Field required")
    ]
    response = await send("/model", app, method="POST", content=b"{", headers={"content-type": "application/json"})
    assert response.status_code == 400


# @validate


async def test_validate_decorator() -> None:
    """`@validate` gives body and query under their names, as Sanic Extensions documents it, with the same answers."""
    app = App("decorated")

    @app.post("/json/<shelf:int>")
    @validate(json=Item, query=Filter)
    async def by_json(request: Request, shelf: int, body: Item, query: Filter) -> object:
        return json([shelf, body.name, query.limit])

    @app.post("/form")
    @validate(form=Upload, body_argument="upload")
    def by_form(request: Request, upload: Upload) -> object:
        return json([upload.title, upload.photo.size])

    assert (await send("/json/7?limit=3", app, method="POST", json={"name": "n", "price": PRICE})).json() == [7, "n", 3]
    errors = errors_of(await send("/json/7?limit=0", app, method="POST", json={"name": 1, "price": PRICE}))
    assert [location for location, _ in errors] == ["body.name", "query.limit"]
    sent = {"data": {"title": "t"}, "files": {"photo": b"x" * 300_000}}
    assert (await send("/form", app, method="POST", **sent)).json() == ["t", 300_000]
    with pytest.raises(TypeError, match="not both"):
        validate(json=Item, form=Upload)
