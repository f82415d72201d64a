"""docs/guide/rate-limits.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/rate-limits.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 2


async def test_reports() -> None:
    """Two reports for each key, with the header fields as shown."""
    async with AsyncTestClient(PAGE.run('App("reports")')["app"]) as client:
        responses = [await client.post("/reports", headers={"x-api-key": "k"}) for _ in range(3)]
    assert [response.status_code for response in responses] == [202, 202, 429]
    assert responses[0].headers["ratelimit-policy"] == '"per-address";q=600;w=60, "reports";q=2;w=3600'
    assert responses[0].headers["ratelimit"].startswith('"per-address";r=599;t=6')


async def test_counters_in_redis(redis_url: str) -> None:
    """Two workers, one quota."""
    build_app = PAGE.run("def build_app")["build_app"]
    async with AsyncTestClient(build_app(redis_url)) as one, AsyncTestClient(build_app(redis_url)) as two:
        statuses = [(await client.post("/login")).status_code for client in [one, two] * 6]
    assert statuses == [200] * 10 + [429] * 2
