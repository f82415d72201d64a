"""docs/guide/templates.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

from pathlib import Path

from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/templates.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 2


async def test_shop(tmp_path: Path) -> None:
    """Values from the handler, and a response with a status of its own, escaped."""
    (tmp_path / "products.html").write_text("{% for product in products %}{{ product }} {% endfor %}")
    (tmp_path / "sold-out.html").write_text("No more {{ name }}")
    async with AsyncTestClient(PAGE.run('App("shop")', FOLDER=tmp_path)["app"]) as client:
        assert (await client.get("/")).text == "lamp rope "
        response = await client.get("/sold-out")
        assert (response.status_code, response.text) == (410, "No more &lt;it&gt;")


async def test_letters() -> None:
    """An engine of one's own."""
    async with AsyncTestClient(PAGE.run('App("letters")')["app"]) as client:
        assert (await client.get("/thanks/Ada")).text == "Thank you, Ada."
