"""The pages: the document as served, both user interfaces from files of a package, nothing from anywhere else (P6)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fairlead import App, Request, openapi, text
from fairlead.openapi import pages
from fairlead.testing import AsyncTestClient

from .validators import check


def make_app(**options: Any) -> App[Any, Any]:
    app = App("shop")
    openapi.attach(app, title="Shop & Co", version="1.0", **options)

    @app.get("/")
    async def index(request: Request) -> str:
        return "hello"

    return app


async def test_document() -> None:
    """The document is at /docs/openapi.json, valid, and does not describe itself."""
    async with AsyncTestClient(make_app()) as client:
        response = await client.get("/docs/openapi.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    check(response.json())
    assert list(response.json()["paths"]) == ["/"]


@pytest.mark.parametrize("prefix", ["/docs", "/internal/api"])
@pytest.mark.parametrize("ui", ["swagger", "redoc"])
async def test_pages(ui: Any, prefix: str) -> None:
    """A page loads files of its own origin only, and its policy lets it load nothing else; the prefix leads to the chosen one."""
    async with AsyncTestClient(make_app(ui=ui, url_prefix=prefix), follow_redirects=True) as client:
        for start in (prefix, f"{prefix}/"):
            page = await client.get(start)
            assert str(page.url).endswith(f"{prefix}/{ui}")
        assert "Shop &amp; Co" in page.text
        assert "http" not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; " in policy
        for address in re.findall(r'(?:src|href)="(assets/[^"]+)"', page.text):
            asset = await client.get(f"{prefix}/{address}")
            assert (asset.status_code, bool(asset.content)) == (200, True)
            assert asset.headers["content-type"].startswith("text/")
        assert "<script>" not in page.text


async def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `fairlead[docs]` is not installed there is the document, and no page."""
    monkeypatch.setattr(pages, "PACKAGE", "a_package_that_is_not_there")
    async with AsyncTestClient(make_app()) as client:
        assert (await client.get("/docs/openapi.json")).status_code == 200
        assert (await client.get("/docs")).status_code == 404


def test_user_interface_that_does_not_exist() -> None:
    """It is found when it is attached."""
    with pytest.raises(ValueError, match="none of swagger, redoc"):
        make_app(ui="scalar")


async def test_names_of_sanic_extensions() -> None:
    """`app.ext.openapi` describes the API and its security under the names that Sanic Extensions documents."""
    app: App[Any, Any] = App("ext")
    app.ext.openapi.describe("Title", version="2", description="Text")
    app.ext.openapi.describe("Title again")
    app.ext.openapi.add_security_scheme("key", "apiKey", name="x-key", location="header")
    app.ext.openapi.add_security_scheme("basic", "http", scheme="basic")
    app.ext.openapi.secured("key", "basic")

    @app.get("/")
    async def index(request: Request) -> object:
        return text("hello")

    async with AsyncTestClient(app) as client:
        document = (await client.get("/docs/openapi.json")).json()
        assert (await client.get("/docs/openapi.json")).json() == document
    check(document)
    assert document["info"] == {"title": "Title again", "version": "2", "description": "Text"}
    assert document["security"] == [{"key": []}, {"basic": []}]
    assert document["components"]["securitySchemes"] == {
        "key": {"type": "apiKey", "name": "x-key", "in": "header"},
        "basic": {"type": "http", "scheme": "basic"},
    }
