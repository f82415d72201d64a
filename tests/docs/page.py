"""The Python blocks of a page of documentation, run as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"


class Page:
    """A page below docs/, such as "guide/rate-limits.md"."""

    def __init__(self, name: str) -> None:
        self.path = DOCS / name
        self.blocks: list[str] = re.findall(r"^```python\n(.*?)^```", self.path.read_text(), re.MULTILINE | re.DOTALL)

    def run(self, text: str, **names: Any) -> dict[str, Any]:
        """Run the one block that holds `text`; gives its names. Keywords are names that it finds."""
        (block,) = [block for block in self.blocks if text in block]
        namespace: dict[str, Any] = {"__name__": __name__, **names}
        exec(compile(block, f"{self.path.name}: {text}", "exec"), namespace)
        return namespace
