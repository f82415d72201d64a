"""docs/guide/cors.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/cors.md")
SHOP = {"origin": "https://shop.example"}


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 1


async def test_shop() -> None:
    """The preflight of a page of the shop, its request, and its websocket; and nothing for others."""
    asked = {"access-control-request-method": "PUT", "access-control-request-headers": "content-type"}
    async with AsyncTestClient(PAGE.run('App("shop")')["app"]) as client:
        assert (await client.options("/price", headers=SHOP | asked)).status_code == 204
        assert (await client.options("/price", headers={"origin": "https://evil.example"} | asked)).status_code == 403
        response = await client.put("/price", json={"cents": 5}, headers=SHOP)
        assert response.headers["access-control-allow-origin"] == SHOP["origin"]
        assert response.headers["access-control-expose-headers"] == "ETag"
        async with client.websocket("/live", origin=SHOP["origin"]) as ws:
            assert await ws.recv_json() == {"cents": 1990}
