"""docs/guide/sessions.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import pytest

from fairlead.errors import ConfigurationError
from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/sessions.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 2


async def test_shop() -> None:
    """A cart that stays through signing in, and nothing after signing out."""
    async with AsyncTestClient(PAGE.run('App("shop")')["app"], base_url="https://testserver") as client:
        await client.post("/cart/7")
        before = client.cookies["__Host-session"]
        assert (await client.post("/sign-in", json={"name": "ada", "password": "x"})).status_code == 401
        assert (await client.post("/sign-in", json={"name": "ada", "password": "lovelace"})).status_code == 204
        assert client.cookies["__Host-session"] != before
        assert (await client.post("/cart/8")).json() == [7, 8]
        await client.post("/sign-out")
        assert (await client.post("/cart/9")).json() == [9]


async def test_signed_cookie() -> None:
    """Visits are counted in the cookie; a word is no secret."""
    build_app = PAGE.run("def build_app")["build_app"]
    async with AsyncTestClient(build_app("0123456789 abcdefghijklmnopqrstuvwxyz"), base_url="https://testserver") as client:
        assert [(await client.get("/visits")).json() for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ConfigurationError):
        build_app("secret")
