"""docs/guide/typing.md: its block runs and does what the text around it says (P9)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fairlead.testing import AsyncTestClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "typing.md"


async def test_the_page() -> None:
    """Configuration, context and request context are where their types say."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)
    async with AsyncTestClient(names["app"]) as client:
        assert (await client.get("/", headers={"x-user": "Ada"})).json() == ["Ropes", "Ada", 1]
