"""docs/guide: what the pages on the framework itself say is true, and every block runs (P9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fairlead.testing import AsyncTestClient
from tests.docs.page import DOCS, Page

PAGES = ("routing", "blueprints", "lifecycle", "errors", "configuration", "static-files", "commands")


def app_of(name: str) -> Any:
    """The application that the one block of a page makes."""
    page = Page(f"guide/{name}.md")
    assert len(page.blocks) == 1
    return page.run("App(")["app"]


async def test_routing() -> None:
    """Types, annotations, extensions, versions, hosts, and the way back."""
    app = app_of("routing")
    async with AsyncTestClient(app) as client:
        for path, status in (("/items/7", 200), ("/items/seven", 404), ("/days/2026-11-20", 200), ("/days/today", 404)):
            assert (await client.get(path)).status_code == status, path
        assert (await client.get("/pictures/my-cat.jpg")).json() == ["my-cat", "jpg"]
        assert (await client.get("/pictures/my-cat.gif")).status_code == 404
        assert (await client.post("/v2/items", headers={"host": "shop.example"})).json() == "POST"
        assert (await client.post("/v2/items")).status_code == 404
        assert (await client.get("/newest")).headers["location"] == "/items/7?sort=price&sort=name#top"


async def test_blueprints() -> None:
    """Addresses, middleware, and missing pages."""
    app = app_of("blueprints")
    async with AsyncTestClient(app) as client:
        assert (await client.get("/shop/v1/api/items/7")).json() == {"id": 7}
        assert (await client.get("/v2/items/7")).json() == {"id": 7}
        assert (await client.get("/api/users")).json() == ["ada"]
        assert (await client.get("/shop/v1/api/items/none/at/all")).json() == {"no": "/shop/v1/api/items/none/at/all"}
    assert app.ctx.asked == 2
    assert app.url_for("items.show", id=7) == "/shop/v1/api/items/7"


async def test_lifecycle() -> None:
    """Listeners, middleware and tasks."""
    app = app_of("lifecycle")
    async with AsyncTestClient(app) as client:
        refused = await client.get("/")
        assert (refused.status_code, refused.headers["x-store"]) == (401, "nuts")
        response = await client.get("/", headers={"authorization": "Bearer secret"})
        assert response.json() == {"stock": {"nut": 3}, "watching": True}
    assert (app.ctx.seen, app.ctx.store) == (["watch ended"], None)


async def test_errors() -> None:
    """A class of one's own, a handler, a page."""
    async with AsyncTestClient(app_of("errors")) as client:
        sold_out = await client.get("/items/bolt")
        assert (sold_out.status_code, sold_out.headers["retry-after"]) == (409, "60")
        problem = sold_out.json()
        assert (problem["detail"], problem["similar"]) == ("bolt is sold out", ["nut"])
        assert (await client.get("/items/nut")).json() == {"missing": "There is no nut"}
        assert "page is sold out" in (await client.get("/page")).text


def test_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source of the block."""
    identity = "123e4567-e89b-12d3-a456-426655440000"
    for name, value in (("SHOP_DB_PORT", "5432"), ("SHOP_ID", identity), ("SHOP_FAST", "yes")):
        monkeypatch.setenv(name, value)
    config = app_of("configuration").config
    assert (config.DB_PORT, config.ID, config.FAST) == (5432, UUID(identity), True)
    assert (config.RESPONSE_TIMEOUT, config.DB_NAME, config.DB_USER) == (30.0, "shop", "ada")


async def test_static_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, a listing, one file."""
    monkeypatch.chdir(DOCS.parent)
    app = app_of("static-files")
    async with AsyncTestClient(app) as client:
        assert (await client.get("/static/README.md")).status_code == 200
        assert "CHANGELOG.md" in (await client.get("/browse/")).text
        assert (await client.get("/licence")).headers["content-type"] == "text/plain; charset=utf-8"
    assert app.url_for("static", name="browse", filename="a.txt") == "/browse/a.txt"


async def test_commands() -> None:
    """The command line of the text."""
    app = app_of("commands")
    async with AsyncTestClient(app):
        assert await app.commands.run(app, "count", ["--least=1", "--kinds=nut", "--kinds=bolt"]) == 2


def test_links() -> None:
    """Lead to pages that exist."""
    for page in (*(f"guide/{name}.md" for name in PAGES), "how-to/move-from-sanic.md"):
        text = (DOCS / page).read_text()
        for part in text.split("](")[1:]:
            target = part.partition(")")[0]
            assert (Path(DOCS / page).parent / target).exists(), target
