"""What a handler gives back (S)."""

from __future__ import annotations

import json as standard
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import App, HTTPResponse, JSONResponse, Request, empty, html, json, raw, redirect, responds, text
from fairlead.errors import ServerError
from fairlead.http.headers import check_field
from fairlead.response import respond_with
from fairlead.testing import AsyncTestClient


class Item(msgspec.Struct):
    """A value."""

    name: str


@dataclass
class Point:
    """Another one."""

    x: int


@pytest.mark.parametrize(
    ("response", "status", "kind", "body"),
    [
        (text("ü"), 200, "text/plain; charset=utf-8", "ü".encode()),
        (text("x", 201, content_type="a/b"), 201, "a/b", b"x"),
        (html("<p>"), 200, "text/html; charset=utf-8", b"<p>"),
        (html(b"<p>", 500), 500, "text/html; charset=utf-8", b"<p>"),
        (json({"a": [1, None]}), 200, "application/json", b'{"a":[1,null]}'),
        (json(1, content_type="a/b+json"), 200, "a/b+json", b"1"),
        (json({"b": 1, "a": 2}, dumps=standard.dumps, sort_keys=True), 200, "application/json", b'{"a": 2, "b": 1}'),
        (raw(b"\x00"), 200, "application/octet-stream", b"\x00"),
        (raw("x"), 200, "application/octet-stream", b"x"),
        (raw(None), 200, "application/octet-stream", b""),
        (empty(), 204, None, b""),
        (empty(202), 202, None, b""),
        (HTTPResponse(), 200, None, b""),
        (HTTPResponse("ü"), 200, None, "ü".encode()),
    ],
)
def test_responses(response: HTTPResponse, status: int, kind: str | None, body: bytes) -> None:
    """Each function makes a response of its status and type."""
    assert (response.status, response.content_type, response.body) == (status, kind, body)


def test_headers_are_made_when_they_are_needed() -> None:
    """A response without further fields has no headers until somebody asks for them."""
    response = text("x")
    assert response.set_headers is None
    response.headers["a"] = "1"
    assert response.set_headers == {"a": "1"}
    for made in (text("", headers={"a": "1"}), json(1, headers=[("a", "1")]), empty(headers={"a": 1}), redirect("/", {"a": "1"})):
        assert made.headers["a"] == "1"


def test_repr() -> None:
    """A response shows what it is, not what it says."""
    assert repr(json({"secret": 1}, 201)) == "<JSONResponse: 201 application/json>"


def test_what_html_can_render() -> None:
    """Objects that know their HTML are rendered by it, other ones are refused, and so is text() of what is no text."""

    class Markup:
        def __html__(self) -> str:
            return "<b>"

    class Frame:
        def _repr_html_(self) -> str:
            return "<table>"

    assert (html(Markup()).body, html(Frame()).body) == (b"<b>", b"<table>")
    with pytest.raises(TypeError, match="int"):
        html(7)
    with pytest.raises(TypeError, match="bytes"):
        text(b"x")  # type: ignore[arg-type]


@given(st.text())
def test_redirect_stays_within_its_field(target: str) -> None:
    """Whatever an application redirects to, the Location is one field of ASCII, and leads where it should."""
    location = redirect(target.encode("utf-8", "ignore").decode()).headers["location"]
    check_field("location", location)
    assert location.isascii()
    assert unquote(location) == unquote(target.encode("utf-8", "ignore").decode())


def test_redirect_to_nothing() -> None:
    """A look-up that found nothing is named as what it is, not as a fault of percent-encoding."""
    with pytest.raises(TypeError, match="takes the URL as a str, not NoneType"):
        redirect(None)  # type: ignore[arg-type]


def test_a_generator_is_no_response() -> None:
    """The error says how its pieces are sent."""

    async def pieces() -> AsyncIterator[str]:
        yield "piece"

    for value in (pieces(), (piece for piece in "ab")):
        with pytest.raises(ServerError) as error:
            respond_with(value)
        assert "stream = await request.respond()" in str(error.value.__cause__)


def test_redirect() -> None:
    """302 unless another status is given; what is encoded already stays as it is."""
    response = redirect("/a b?c=%20&d=ü#e", status=303)
    assert (response.status, response.headers["location"]) == (303, "/a%20b?c=%20&d=%C3%BC#e")
    assert redirect("https://a.example/").status == 302


# JSON whose value can still be changed


def test_changes_of_a_json_response() -> None:
    """Every change of the value encodes the body anew, with the encoder that it was made with or another."""
    response = json([1])
    response.append(2)
    response.extend([3, 4])
    assert response.pop(0) == 1
    assert (response.body, response.raw_body) == (b"[2,3,4]", [2, 3, 4])
    response.raw_body = {"a": 1}
    response.update({"b": 2}, c=3)
    assert response.pop("a") == 1
    assert response.pop("a", None) is None
    assert standard.loads(response.body) == {"b": 2, "c": 3}
    response.set_body({"b": 1}, dumps=standard.dumps, indent=1)
    assert response.body == b'{\n "b": 1\n}'
    pretty = json([1], dumps=standard.dumps)
    pretty.append(2)
    assert pretty.body == b"[1, 2]"


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ({}, lambda response: response.append(1)),
        ({}, lambda response: response.extend([1])),
        ([], lambda response: response.update(a=1)),
        ("text", lambda response: response.pop(0)),
    ],
)
def test_changes_that_do_not_fit_the_value(value: Any, change: Any) -> None:
    """A list has no update, an object no append: an error of the application, and the body stays."""
    response = json(value)
    before = response.body
    with pytest.raises(ServerError):
        change(response)
    assert response.body == before


# What a handler may return


@pytest.mark.parametrize(
    ("value", "status", "kind", "body"),
    [
        (None, 204, None, b""),
        ("ü", 200, "text/plain; charset=utf-8", "ü".encode()),
        (b"x", 200, "application/octet-stream", b"x"),
        (bytearray(b"x"), 200, "application/octet-stream", b"x"),
        (memoryview(b"x"), 200, "application/octet-stream", b"x"),
        ({"a": 1}, 200, "application/json", b'{"a":1}'),
        ([1], 200, "application/json", b"[1]"),
        ((1, 2), 200, "application/json", b"[1,2]"),
        (7, 200, "application/json", b"7"),
        (1.5, 200, "application/json", b"1.5"),
        (True, 200, "application/json", b"true"),
        (Item("n"), 200, "application/json", b'{"name":"n"}'),
        (Point(1), 200, "application/json", b'{"x":1}'),
        ({1}, 200, "application/json", b"[1]"),
    ],
)
def test_values_of_handlers(value: Any, status: int, kind: str | None, body: bytes) -> None:
    """Text, bytes, plain data and None have their usual response."""
    response = respond_with(value)
    assert (response.status, response.content_type, response.body) == (status, kind, body)


def test_response_stays_itself() -> None:
    """A response is the response."""
    response = text("x")
    assert respond_with(response) is response


def test_values_that_are_no_response() -> None:
    """An object that JSON doesn't know is an error of the application; its type is for the log, not for the client."""

    def generator() -> Iterator[int]:
        yield 1

    for value in (object(), generator()):
        with pytest.raises(ServerError) as error:
            respond_with(value)
        assert error.value.extra == {"returned": type(value).__name__}
        assert type(value).__name__ not in error.value.message


def test_cookies_of_a_response() -> None:
    """Cookies are lines of the headers; deleting one is a cookie that is over."""
    response = text("")
    response.add_cookie("a", "1", httponly=True)
    response.delete_cookie("b", secure_prefix=True, domain="a.example")
    assert len(response.headers.getall("set-cookie")) == 2
    assert ("a" in response.cookies, "__Secure-b" in response.cookies, "c" in response.cookies) == (True, True, False)


def test_json_response_is_a_response() -> None:
    """`JSONResponse` is the class that `json` makes."""
    assert isinstance(json(1), JSONResponse)


class Model(pydantic.BaseModel):
    unit_price: int = pydantic.Field(alias="unitPrice")


@attrs.define
class Attrs:
    name: str


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (Model(unitPrice=1), {"unitPrice": 1}),
        ([Model(unitPrice=1)], [{"unitPrice": 1}]),
        ({"a": Model(unitPrice=1)}, {"a": {"unitPrice": 1}}),
        (Attrs("n"), {"name": "n"}),
        ([Attrs("n")], [{"name": "n"}]),
    ],
)
def test_records_of_other_libraries(value: Any, body: Any) -> None:
    """attrs classes and pydantic models become JSON, inside of lists and mappings too."""
    for response in (respond_with(value), json(value)):
        assert (response.status, response.content_type, msgspec.json.decode(response.body)) == (200, "application/json", body)


async def test_status_of_what_is_returned() -> None:
    """`@responds` gives what a handler returns its status and fields; a response of its own is left as it is."""
    app = App("typed")

    @app.post("/")
    @responds(201, headers={"X-Made": "yes"})
    async def create(request: Request) -> Attrs:
        return Attrs("n")

    @app.get("/")
    @responds(202)
    def plain(request: Request) -> HTTPResponse | dict[str, int]:
        return text("own", 299) if request.args else {"a": 1}

    async with AsyncTestClient(app) as client:
        created = await client.post("/")
        assert (created.status_code, created.json(), created.headers["x-made"]) == (201, {"name": "n"}, "yes")
        assert [(await client.get(path)).status_code for path in ("/", "/?own=1")] == [202, 299]


def test_options_of_the_encoder() -> None:
    """Options of `json` are msgspec's."""
    assert json({"b": 1, "a": 2}, order="sorted").body == b'{"a":2,"b":1}'
