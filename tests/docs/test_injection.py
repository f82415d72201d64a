"""docs/guide/dependencies.md and validation.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fairlead import App
from fairlead.testing import AsyncTestClient

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"


def names_of(page: str, name: str) -> dict[str, Any]:
    """What the block with `App("name")` defines."""
    blocks = re.findall(r"^```python\n(.*?)^```", (GUIDE / page).read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f'App("{name}")' in block]
    names: dict[str, Any] = {}
    exec(compile(block, f"{GUIDE / page}:{name}", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize(("page", "blocks"), [("dependencies.md", ["shop", "clock", "mail"]), ("validation.md", ["shop"])])
def test_no_block_is_left_out(page: str, blocks: list[str]) -> None:
    """A block that is added to a page needs a test here."""
    text = (GUIDE / page).read_text()
    assert re.findall(r"App\(\"(\w+)\"\)", text) == blocks
    assert text.count("```python") == len(blocks)


async def test_providers() -> None:
    """A chain from the worker's pool to the handler, ended by a commit."""
    names = names_of("dependencies.md", "shop")
    app: App[Any, Any] = names["app"]
    made: list[Any] = []

    @app.get("/log")
    async def log(request: Any, connection: Any) -> list[str]:
        made.append(connection)
        return list(connection.log)

    log.__annotations__["connection"] = names["Connection"]
    async with AsyncTestClient(app) as client:
        assert (await client.get("/products")).json() == ["mug", "rope"]
        assert (await client.get("/log")).json() == []
    assert made[0].log == ["commit"]


async def test_middleware() -> None:
    """Middleware is given dependencies."""
    async with AsyncTestClient(names_of("dependencies.md", "clock")["app"]) as client:
        assert (await client.get("/")).headers["x-time"] == "noon"


async def test_overrides() -> None:
    """The page's own test passes."""
    await names_of("dependencies.md", "mail")["test_mail"]()


async def test_validation() -> None:
    """What fits is answered as the page says, what doesn't with exactly the page's problem details."""
    async with AsyncTestClient(names_of("validation.md", "shop")["app"]) as client:
        good = await client.post("/shelves/1/products", json={"name": "mug", "price": 5}, headers={"X-Tenant": "a"})
        assert (good.status_code, good.json()) == (201, {"name": "mug", "price": 5, "tags": [], "shelf": 1})
        assert (await client.get("/products?limit=3&tag=a&tag=b")).json() == ["3 products", "a", "b"]
        problem = (await client.post("/shelves/0/products", json={"price": "x"})).json()
    del problem["request_id"]
    (shown,) = re.findall(r"^```json\n(.*?)^```", (GUIDE / "validation.md").read_text(), re.MULTILINE | re.DOTALL)
    expected = json.loads(shown)
    for document in (problem, expected):
        document["errors"].sort(key=lambda error: error["location"])
    assert problem == expected
