"""What the tests of documentation pages share: the blocks of a page, and the applications that they make."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fairlead import App

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks_of(page: str) -> list[str]:
    """The Python blocks of a page below docs/."""
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def run_block(page: str, start: str) -> dict[str, Any]:
    """The names that the one block with this text in it makes."""
    (block,) = [block for block in blocks_of(page) if start in block]
    names: dict[str, Any] = {}
    exec(compile(block, f"{page}:{start}", "exec"), names)
    return names


def app_of(page: str, name: str) -> App[Any, Any]:
    """The application that the block with `App("name")` makes."""
    app: App[Any, Any] = run_block(page, f'App("{name}"')["app"]
    return app
