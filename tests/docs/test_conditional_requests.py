"""docs/guide/conditional-requests.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/conditional-requests.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 1


async def test_notes() -> None:
    """304 for who has it, 412 for who is late, 428 for who doesn't say, and creating without replacing."""
    async with AsyncTestClient(PAGE.run('App("notes")')["app"]) as client:
        etag = (await client.get("/notes/1")).headers["etag"]
        assert (await client.get("/notes/1", headers={"if-none-match": etag})).status_code == 304
        for condition, status in (({}, 428), ({"if-match": etag}, 200), ({"if-match": etag}, 412), ({"if-none-match": "*"}, 412)):
            assert (await client.put("/notes/1", json={"text": "eggs"}, headers=condition)).status_code == status
        assert (await client.put("/notes/2", json={"text": "tea"}, headers={"if-none-match": "*"})).json()["version"] == 1
