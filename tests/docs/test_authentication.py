"""docs/guide/authentication.md: every block runs and does what the text around it says (P9, P7)."""

from __future__ import annotations

import pytest

from fairlead.testing import AsyncTestClient, HandshakeRefused

from .page import Page

PAGE = Page("guide/authentication.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 2


async def test_the_shop_and_its_issuer() -> None:
    """Tokens of the second block open the routes of the first."""
    issued = PAGE.run("TokenIssuer(")
    app = PAGE.run("def build_app")["build_app"](keys=issued["trusted"])
    token = issued["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    async with AsyncTestClient(app) as client:
        assert (await client.get("/profile")).status_code == 401
        assert (await client.get("/profile", headers=headers)).json() == {"subject": "account-7", "scopes": ["orders:write"]}
        assert (await client.post("/orders", headers=headers)).json() == {"for": "account-7"}
        assert (await client.get("/admin/", headers=headers)).status_code == 403
        async with client.websocket("/feed", subprotocols=["feed.v1", f"bearer.{token}"]) as ws:
            assert (await ws.recv_json(), ws.subprotocol) == ({"hello": "account-7"}, "feed.v1")
        with pytest.raises(HandshakeRefused) as refused:
            async with client.websocket("/feed"):
                raise AssertionError("unreachable")
    assert refused.value.response.status_code == 401
