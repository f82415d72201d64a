"""docs/guide/http2.md: its block runs, and what it says of settings is true (P9)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fairlead import App
from fairlead.config import DEFAULTS
from tests.framework.server.http2.client import serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "http2.md").read_text()


async def test_the_block() -> None:
    """The application answers over HTTP/2, and takes an upload."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "http2.md", "exec"), names)
    app: App[Any, Any] = names["app"]
    assert app.config.limits().http2
    async with serving(app) as running:
        client = await running.connect()
        assert (await client.get()).body == b"over HTTP/2 from shop.example"
        stream_id = client.open("POST", "/upload", ends=False)
        await client.upload(stream_id, b"x" * 100_000)
        assert (await client.answer(stream_id)).body == b"100000"


def test_settings_exist() -> None:
    """Every setting that the page names is one."""
    named = set(re.findall(r"`((?:HTTP2|REQUEST|RESPONSE|WRITE)_[A-Z0-9_]+)`", PAGE))
    assert named <= DEFAULTS.keys()
    assert DEFAULTS["HTTP2_MAX_STREAMS"] == 100
