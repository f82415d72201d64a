"""docs/guide/csrf.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import re

from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/csrf.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 2


async def test_profile() -> None:
    """The form as it is shown is accepted, the same fields without its token are not; a webhook needs none."""
    async with AsyncTestClient(PAGE.run('App("profile")')["app"], base_url="https://testserver") as client:
        found = re.search(r'name="csrf_token" value="([^"]+)"', (await client.get("/name")).text)
        assert found is not None
        assert (await client.post("/name", data={"name": "Ada", "csrf_token": found[1]})).text == "saved"
        assert (await client.post("/name", data={"name": "Eve"})).status_code == 403
        assert (await client.post("/payments/webhook", json={})).text == "thanks"


async def test_cart() -> None:
    """A script fetches the token and sends it in the header."""
    app = PAGE.run("def build_app")["build_app"]("0123456789 abcdefghijklmnopqrstuvwxyz")
    async with AsyncTestClient(app, base_url="https://testserver") as client:
        token = (await client.get("/csrf")).json()["token"]
        assert (await client.delete("/cart", headers={"x-csrf-token": token})).json() == {"items": []}
        assert (await client.delete("/cart")).status_code == 403
