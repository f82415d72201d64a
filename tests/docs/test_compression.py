"""docs/guide/compression.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import gzip

from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/compression.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 2


async def test_answers() -> None:
    """Compressed for who takes it, whole and in pieces; what is exempt is not."""
    async with AsyncTestClient(PAGE.run('App("stock")')["app"], headers={"accept-encoding": "gzip"}) as client:
        stock, export, secrets = [await client.get(path) for path in ("/stock", "/export", "/secrets")]
    assert (stock.headers["content-encoding"], len(stock.json())) == ("gzip", 500)
    assert (export.headers["content-encoding"], len(export.text.splitlines())) == ("gzip", 500)
    assert "content-encoding" not in secrets.headers


async def test_requests() -> None:
    """Decoded up to the route's limit."""
    async with AsyncTestClient(PAGE.run('App("intake")')["app"]) as client:
        for body, status in ((b"[1, 2, 3]", 200), (b"[1]".ljust(1_000_001), 413)):
            response = await client.post("/measurements", content=gzip.compress(body), headers={"content-encoding": "gzip"})
            assert response.status_code == status
