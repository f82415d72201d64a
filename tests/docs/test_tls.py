"""docs/how-to/tls.md: the keys with their defaults, and the block."""

from __future__ import annotations

import re

from fairlead.config import DEFAULTS
from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("how-to/tls.md")


def test_every_key() -> None:
    """Every TLS_ key is on the page."""
    assert set(re.findall(r"\bTLS_[A-Z_]+(?<!_FILE)\b", PAGE.path.read_text())) - {"TLS_KEY_PASSWORD_FILE"} == {
        name for name in DEFAULTS if name.startswith("TLS_")
    }


async def test_block() -> None:
    """The application of the block works; it doesn't run when it is imported."""
    async with AsyncTestClient(PAGE.run('App("shop")')["app"]) as client:
        assert (await client.get("/")).text == "http, "
