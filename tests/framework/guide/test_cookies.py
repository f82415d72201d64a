"""Sanic's guide, chapter Cookies: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Any

from tests.framework.guide.framework import App, json, text


def set_by(change: Any) -> SimpleCookie:
    """The cookies that a response sets, as a browser reads them."""
    app = App("cookies")

    @app.get("/")
    async def handler(request: Any) -> Any:
        response = text("There's a cookie up in this response")
        change(response)
        return response

    _, response = app.test_client.get("/")
    cookies: SimpleCookie = SimpleCookie()
    for line in response.headers.get_list("set-cookie"):
        cookies.load(line)
    return cookies


def test_reading() -> None:
    """`get` the first, `getlist` all."""
    app = App("reading")

    @app.get("/")
    async def handler(request: Any) -> Any:
        cookies = request.cookies
        return json([cookies.get("test"), cookies.getlist("many"), cookies.get("none"), "test" in cookies])

    _, response = app.test_client.get("/", headers={"cookie": "test=It worked; many=1; many=2"})
    assert response.json == ["It worked", ["1", "2"], None, True]


def test_writing() -> None:
    """Secure by default; every attribute is written."""
    morsel = set_by(lambda response: response.add_cookie("test", "value"))["test"]
    assert (morsel.value, morsel["path"], morsel["samesite"], morsel["secure"]) == ("value", "/", "Lax", True)
    assert not morsel["httponly"]
    morsel = set_by(
        lambda response: response.add_cookie(
            "test",
            "value",
            path="/below",
            domain=".yummy-yummy-cookie.com",
            httponly=True,
            secure=False,
            max_age=5,
            samesite="Strict",
            expires=datetime(2030, 1, 1, tzinfo=UTC),
        )
    )["test"]
    assert (morsel["path"], morsel["domain"], morsel["max-age"]) == ("/below", ".yummy-yummy-cookie.com", "5")
    assert (morsel["samesite"], morsel["httponly"], morsel["secure"]) == ("Strict", True, "")
    assert morsel["expires"].startswith("Tue, 01")


def test_prefixes() -> None:
    """`__Host-` and `__Secure-` are put before the name."""
    assert "__Host-test" in set_by(lambda response: response.add_cookie("test", "value", host_prefix=True))
    assert "__Secure-test" in set_by(lambda response: response.add_cookie("test", "value", secure_prefix=True))


def test_deleting() -> None:
    """A deleted cookie ends at once."""
    morsel = set_by(lambda response: response.delete_cookie("eat_me"))["eat_me"]
    assert morsel["max-age"] == "0"


def test_jar() -> None:
    """The cookies of a response can be looked at."""
    app = App("jar")

    @app.get("/")
    async def handler(request: Any) -> Any:
        response = text("")
        response.add_cookie("one", "1")
        found = [response.cookies.has_cookie("one"), response.cookies.has_cookie("two"), response.cookies.get_cookie("one").value]
        return json(found)

    assert app.test_client.get("/")[1].json == [True, False, "1"]
