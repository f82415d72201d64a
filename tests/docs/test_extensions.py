"""docs/guide/extensions.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/extensions.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 2


async def test_the_convention() -> None:
    """Application, blueprint and route; an exempt route."""
    async with AsyncTestClient(PAGE.run('App("shop")')["app"]) as client:
        responses = [await client.post("/orders/") for _ in range(6)]
        assert [response.status_code for response in responses] == [201] * 5 + [429]
        assert responses[0].headers["ratelimit-policy"].count(";q=") == 3
        assert "ratelimit" not in (await client.get("/status")).headers


async def test_an_extension_of_your_own() -> None:
    """It is told how long the handler took."""
    async with AsyncTestClient(PAGE.run('App("timed")')["app"]) as client:
        assert (await client.get("/")).headers["server-timing"].startswith("app;dur=")
