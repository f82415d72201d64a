"""docs/guide/class-based-views.md: its block runs and does what the text around it says (P9)."""

from __future__ import annotations

from fairlead.testing import AsyncTestClient
from tests.docs.page import Page

PAGE = Page("guide/class-based-views.md")


async def test_shop() -> None:
    """Methods, decorators, body, stream, and what is missing."""
    assert len(PAGE.blocks) == 1
    app = PAGE.run('App("shop")')["app"]
    async with AsyncTestClient(app) as client:
        assert (await client.put("/items", json={"name": "bolt"})).json() == ["nut", "bolt"]
        assert (await client.get("/items/2")).json() == {"name": "bolt", "owner": "ada"}
        assert (await client.delete("/items/1")).json() == {"deleted": "nut"}
        assert (await client.post("/items", content=b"12345")).json() == {"bytes": 5}
        assert (await client.get("/items")).headers["allow"] == "POST, PUT"
    assert app.url_for("ItemView", id=1) == "/items/1"
