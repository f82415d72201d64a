"""The document: what handlers' signatures, docstrings and decorators become, valid under two validators (P6)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any
from uuid import UUID

import attrs
import pydantic
import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from fairlead import (
    App,
    Blueprint,
    Body,
    Cookie,
    File,
    Form,
    Header,
    HTTPResponse,
    Path,
    Query,
    Request,
    json,
    openapi,
    responds,
    validate,
)
from fairlead.auth import Principal, Protected, attach, protected
from fairlead.auth.keys import KeySet
from fairlead.cli import main
from fairlead.views import HTTPMethodView

from .validators import check


class New(Struct):
    """A new product."""

    name: Annotated[str, Meta(min_length=1)]
    price: Annotated[int, Meta(ge=0)] = 0
    note: str | UnsetType = UNSET


class Product(New):
    id: int = 0


class Filter(Struct):
    limit: Annotated[int, Meta(ge=1)] = 5
    tag: list[str] = []


class Upload(Struct):
    photo: File
    title: str = "untitled"
    pages: list[File] = []


@dataclass
class Data:
    value: int


@attrs.define
class Attrs:
    value: int


class Inner(pydantic.BaseModel):
    value: int


class Model(pydantic.BaseModel):
    inner: Inner
    values: list[Inner] = []


ODD = object()
"""A default that JSON has no word for."""


class Session:
    """A dependency that reads a value."""


def documented(app: App[Any, Any], **options: Any) -> dict[str, Any]:
    app.finalise()
    document = openapi.build_document(app, **options)
    check(document)
    return document


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def content(operation: dict[str, Any], status: str = "200", kind: str = "application/json") -> Any:
    return operation["responses"][status]["content"][kind]["schema"]


def test_parameters_of_every_place() -> None:
    """Path, query, header and cookie parameters, from records and alone, with their constraints and defaults."""
    app = App("places")

    @app.get("/<shelf:int>/<code>/<day:ymd>/<rest:path>")
    async def handler(
        request: Request,
        code: Path[Annotated[str, Meta(max_length=3)]],
        shelf: int,
        day: Any,
        rest: str,
        page: Query[Filter],
        x_tenant: Header[str],
        session: Cookie[UUID],
        debug: Query[bool] = False,
        odd: Query[Any] = ODD,
        none: Query[int | None] = None,
    ) -> None: ...

    operation = documented(app)["paths"]["/{shelf}/{code}/{day}/{rest}"]["get"]
    shown = [(each["in"], each["name"], each.get("required", False), each["schema"]) for each in operation["parameters"]]
    assert shown == [
        ("path", "shelf", True, {"type": "integer"}),
        ("path", "code", True, {"type": "string", "maxLength": 3}),
        ("path", "day", True, {"type": "string", "format": "date"}),
        ("path", "rest", True, {"type": "string"}),
        ("query", "limit", False, {"type": "integer", "minimum": 1, "default": 5}),
        ("query", "tag", False, {"type": "array", "items": {"type": "string"}, "default": []}),
        ("query", "debug", False, {"type": "boolean", "default": False}),
        ("query", "odd", False, {}),
        ("query", "none", False, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("header", "x-tenant", True, {"type": "string"}),
        ("cookie", "session", True, {"type": "string", "format": "uuid"}),
    ]
    assert list(operation["responses"]) == ["204", "422", "default"]


def test_bodies_and_forms() -> None:
    """A JSON body by reference; a form with its fields, multipart where it holds files; mappings and plain types."""
    app = App("bodies")

    @app.post("/json")
    async def by_json(request: Request, new: Body[New]) -> None: ...

    @app.post("/optional")
    async def optional(request: Request, new: Body[list[New]] = []) -> None: ...  # noqa: B006

    @app.post("/upload")
    async def upload(request: Request, given: Form[Upload]) -> None: ...

    @app.post("/form")
    async def form(request: Request, title: Form[str], note: Form[str] = "", rest: Query[dict[str, str]] = {}) -> None: ...  # noqa: B006

    paths = documented(app)["paths"]
    assert paths["/json"]["post"]["requestBody"] == {"required": True, "content": {"application/json": {"schema": ref("New")}}}
    assert paths["/optional"]["post"]["requestBody"] == {
        "content": {"application/json": {"schema": {"type": "array", "items": ref("New")}}}
    }
    binary = {"type": "string", "format": "binary"}
    assert paths["/upload"]["post"]["requestBody"]["content"] == {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "photo": binary,
                    "title": {"type": "string", "default": "untitled"},
                    "pages": {"type": "array", "items": binary, "default": []},
                },
                "required": ["photo"],
            }
        }
    }
    kinds = paths["/form"]["post"]["requestBody"]["content"]
    assert list(kinds) == ["application/x-www-form-urlencoded", "multipart/form-data"]
    assert "parameters" not in paths["/form"]["post"]


def test_responses_by_annotation() -> None:
    """What a handler returns, by its annotation, with the status of `@responds`; errors are problem details."""
    app = App("returns")

    @app.get("/product")
    async def product(request: Request) -> Product: ...

    @app.post("/product")
    @responds(201)
    async def create(request: Request) -> list[Data]: ...

    @app.get("/text")
    async def text(request: Request) -> str: ...

    @app.get("/raw")
    async def raw(request: Request) -> HTTPResponse: ...

    @app.get("/either")
    async def either(request: Request) -> HTTPResponse | Product: ...

    @app.get("/untold")
    async def untold(request):  # type: ignore[no-untyped-def]
        ...

    @app.get("/attrs")
    async def of_attrs(request: Request) -> Attrs: ...

    @app.get("/model")
    async def model(request: Request) -> list[Model]: ...

    @app.get("/model-alone")
    async def model_alone(request: Request) -> Model: ...

    @app.get("/strange")
    async def strange(request: Request) -> Iterator[int]: ...

    document = documented(app)
    paths = document["paths"]
    assert content(paths["/product"]["get"]) == ref("Product")
    assert content(paths["/product"]["post"], "201") == {"type": "array", "items": ref("Data")}
    assert content(paths["/text"]["get"], kind="text/plain") == {"type": "string"}
    assert content(paths["/attrs"]["get"]) == ref("Attrs")
    assert content(paths["/model"]["get"]) == {"type": "array", "items": ref("Model")}
    assert content(paths["/model-alone"]["get"]) == ref("Model")
    assert content(paths["/strange"]["get"]) == {}
    for path in ("/raw", "/either", "/untold"):
        assert paths[path]["get"]["responses"]["200"] == {"description": "OK"}
    assert {"Product", "Data", "Attrs", "Model", "Inner", "ProblemDetails"} <= document["components"]["schemas"].keys()
    assert document["components"]["schemas"]["Product"]["required"] == ["name"]
    assert content(paths["/raw"]["get"], "default", "application/problem+json") == ref("ProblemDetails")


def test_decorators() -> None:
    """Every decorator, above and below the one that registers the route, and around handlers that others have wrapped."""
    app = App("decorated")

    @openapi.summary("A summary")
    @app.get("/a/<shelf:int>")
    @openapi.description("A *description*")
    @openapi.operation("own-name")
    @openapi.tag("one", "two", "one")
    @openapi.deprecated()
    @openapi.document("https://docs.example", "More")
    @openapi.parameter("shelf", int, "path", description="The shelf")
    @openapi.parameter("x-key", location="header", required=True, description="A key", deprecated=True)
    @openapi.body({"text/csv": str}, description="A table", required=False)
    @openapi.response(200, {"text/csv": str}, "The table")
    @openapi.response(404)
    @openapi.response("default", description="Anything else")
    @openapi.secured("key", oauth=["read"])
    async def handler(request: Request, shelf: int) -> None:
        """Not shown."""

    @app.get("/hidden")
    @openapi.exclude()
    async def hidden(request: Request) -> None: ...

    @app.post("/all")
    @openapi.definition(
        summary="S", description="D", operation="all", body=New, tag="t", deprecated=True, document="https://docs.example",
        parameter=openapi.Parameter("q", int), response=[openapi.Response(200, Product), openapi.Response(409)], secured="key",
    )  # fmt: skip
    async def everything(request: Request) -> None: ...

    @app.post("/more")
    @openapi.definition(body=openapi.RequestBody(New, "A body"), tag=["a", "b"], secured=("key", "other"))
    async def more(request: Request) -> None: ...

    @app.get("/short")
    @openapi.definition(summary="Short")
    async def short(request: Request) -> None: ...

    document = documented(
        app,
        security_schemes={
            "key": {"type": "apiKey", "name": "x-key", "in": "header"},
            "other": {"type": "http", "scheme": "basic"},
            "oauth": {
                "type": "oauth2",
                "flows": {"clientCredentials": {"tokenUrl": "https://a.example", "scopes": {"read": "Read"}}},
            },
        },
    )
    assert list(document["paths"]) == ["/a/{shelf}", "/all", "/more", "/short"]
    assert document["paths"]["/short"]["get"]["summary"] == "Short"
    operation = document["paths"]["/a/{shelf}"]["get"]
    assert operation["responses"].pop("404")["description"] == "Not Found"
    assert operation == {
        "operationId": "own-name",
        "tags": ["one", "two"],
        "summary": "A summary",
        "description": "A *description*",
        "externalDocs": {"url": "https://docs.example", "description": "More"},
        "deprecated": True,
        "parameters": [
            {"name": "shelf", "in": "path", "required": True, "schema": {"type": "integer"}, "description": "The shelf"},
            {
                "name": "x-key",
                "in": "header",
                "required": True,
                "schema": {"type": "string"},
                "description": "A key",
                "deprecated": True,
            },
        ],
        "requestBody": {"description": "A table", "content": {"text/csv": {"schema": {"type": "string"}}}},
        "responses": {
            "200": {"description": "The table", "content": {"text/csv": {"schema": {"type": "string"}}}},
            "default": {"description": "Anything else"},
        },
        "security": [{"key": []}, {"oauth": ["read"]}],
    }
    every = document["paths"]["/all"]["post"]
    assert (every["operationId"], every["tags"], every["summary"], every["security"]) == ("all", ["t"], "S", [{"key": []}])
    assert (content(every), list(every["responses"])) == (ref("Product"), ["200", "409", "default"])
    assert every["requestBody"]["content"]["application/json"]["schema"] == ref("New")
    again = document["paths"]["/more"]["post"]
    assert (again["tags"], len(again["security"]), again["requestBody"]["description"]) == (["a", "b"], 2, "A body")


def test_docstrings_and_names() -> None:
    """Summary and description by the docstring, ids by the route's name, tags by the blueprint; ids are unique."""
    app, shop = App("names"), Blueprint("shop", url_prefix="/shop")

    @shop.route("/", methods=["GET", "POST", "HEAD"])
    async def handler(request: Request) -> None:
        """The first
        paragraph.

        The rest.
        """

    @shop.get("/b", name="b")
    @openapi.operation("same")
    async def first(request: Request) -> None: ...

    @shop.get("/c", name="c")
    @openapi.operation("same")
    async def second(request: Request) -> None: ...

    class View(HTTPMethodView, attach=app, uri="/view/<id:int>"):
        async def get(self, request: Request, id: int) -> Product:
            """By a class."""

        async def put(self, request: Request, id: int, new: Body[New]) -> None: ...

    app.blueprint(shop)
    app.static("/files", FilePath(__file__).parent)
    app.add_route(functools.partial(first), "/partial", name="partial")

    @app.websocket("/ws")
    async def socket(request: Request, ws: Any) -> None: ...

    paths = documented(app)["paths"]
    assert set(paths) == {"/partial", "/shop/", "/shop/b", "/shop/c", "/view/{id}"}
    assert sorted(paths["/shop/"]) == ["get", "post"]
    get = paths["/shop/"]["get"]
    assert (get["summary"], get["description"], get["tags"]) == ("The first paragraph", "The rest.", ["shop"])
    ids = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(set(ids)) == len(ids)
    assert {"shop.handler.get", "shop.handler.post", "same.get", "same.get.2"} <= set(ids)
    assert paths["/view/{id}"]["get"]["summary"] == "By a class"
    assert paths["/view/{id}"]["put"]["requestBody"]["content"]["application/json"]["schema"] == ref("New")


def test_guards_and_what_decorators_ask_for() -> None:
    """`@protected` shows as security with its scopes, `@validate` and dependencies with what they read."""
    app = App("guarded")

    def begin(request: Request, inner: Any, x_trace: Header[str]) -> Session:
        raise AssertionError("unreachable")

    class Inner:
        """What the session needs reads a value as well."""

        def __init__(self, x_inner: Header[str]) -> None: ...

    begin.__annotations__["inner"] = Inner
    app.add_dependency(Inner)
    app.add_dependency(Session, begin)

    @app.post("/new")
    @openapi.tag("here")
    @protected(scope="write read")
    @validate(json=New, query=Filter)
    async def create(request: Request, body: New, query: Filter, session: Session) -> Product: ...

    @app.get("/open")
    @openapi.secured()
    async def open_to_all(request: Request) -> None: ...

    create.__dict__["__fairlead_handler__"].__fairlead_handler__.__annotations__["session"] = Session
    app.finalise()
    document = openapi.build_document(app, security=[{"bearer": []}])
    check(document)
    operation = document["paths"]["/new"]["post"]
    assert (operation["security"], operation["tags"]) == ([{"bearer": ["read", "write"]}], ["here"])
    assert [each["name"] for each in operation["parameters"]] == ["limit", "tag", "x-trace", "x-inner"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == ref("New")
    assert content(operation) == ref("Product")
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    assert document["security"] == [{"bearer": []}]
    assert document["paths"]["/open"]["get"]["security"] == []


def test_guards_around_routes() -> None:
    """P6, P7: `Protected` on an application, a blueprint or a handler, and a `Principal` asked for, show as security with all
    scopes together; a route that is let out is open."""
    app = App("guarded")
    attach(app, issuer="https://issuer.example", audience="a", keys=KeySet())
    admin, shop = Blueprint("admin", "/admin"), Blueprint("shop", "/shop")
    Protected(scope="admin").install(admin)

    @admin.get("/")
    async def plain(request: Request) -> None: ...

    @admin.get("/both")
    @Protected(scope="write")
    async def both(request: Request) -> None: ...

    @admin.get("/wrapped")
    @protected(scope="read")
    async def wrapped(request: Request) -> None: ...

    @admin.get("/out")
    @Protected.exempt
    async def out(request: Request) -> None: ...

    @admin.get("/said")
    @openapi.secured("other")
    async def said(request: Request) -> None: ...

    @shop.get("/mine")
    async def mine(request: Request, caller: Principal) -> None: ...

    @shop.get("/basket")
    async def basket(request: Request, owner: Session) -> None: ...

    def begin(caller: Principal) -> Session:
        raise AssertionError("unreachable")

    basket.__annotations__["owner"] = Session
    begin.__annotations__["caller"] = mine.__annotations__["caller"] = Principal
    app.add_dependency(Session, begin)
    app.add_route(lambda request: json(None), "/free")
    app.blueprint(admin)
    app.blueprint(shop)
    paths = documented(app)["paths"]
    assert {path: operations["get"].get("security") for path, operations in paths.items()} == {
        "/admin/": [{"bearer": ["admin"]}],
        "/admin/both": [{"bearer": ["admin", "write"]}],
        "/admin/wrapped": [{"bearer": ["admin", "read"]}],
        "/admin/out": [],
        "/admin/said": [{"other": []}],
        "/shop/mine": [{"bearer": []}],
        "/shop/basket": [{"bearer": []}],
        "/free": None,
    }


def test_information_and_order() -> None:
    """Title, version, description, servers; the same application gives the same bytes."""
    app = App("info")
    app.add_route(lambda request: json(None), "/")
    document = documented(app, title="Title", version="2", description="D", servers=("https://a.example",))
    assert document["info"] == {"title": "Title", "version": "2", "description": "D"}
    assert document["servers"] == [{"url": "https://a.example"}]
    assert openapi.encode_document(document) == openapi.encode_document(openapi.build_document(
        app, title="Title", version="2", description="D", servers=("https://a.example",)
    ))  # fmt: skip
    assert documented(App("empty"))["paths"] == {}


def test_command(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`fairlead openapi module:app` prints the document, as attached or with what can be known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop_of_the_openapi_test.py").write_text(
        "from fairlead import App, openapi, text\n"
        "plain, app = App('plain'), App('shop')\n"
        "openapi.attach(app, title='Shop', version='3')\n"
        "@app.get('/')\n@plain.get('/')\nasync def index(request) -> str:\n    return 'hello'\n"
    )
    for name, title in (("app", "Shop"), ("plain", "plain")):
        assert main(["openapi", f"shop_of_the_openapi_test:{name}"]) == 0
        assert f'"title": "{title}"' in capsys.readouterr().out
