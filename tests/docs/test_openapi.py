"""docs/guide/openapi.md: its block runs and does what the text around it says (P9)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fairlead import openapi
from fairlead.testing import AsyncTestClient
from tests.framework.openapi.validators import check

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "openapi.md"


async def test_the_page() -> None:
    """The document, its addresses, and the decorators that the page names."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)
    async with AsyncTestClient(names["app"]) as client:
        document = (await client.get("/docs/openapi.json")).json()
        assert (await client.get("/docs")).headers["location"] == "docs/swagger"
        for page in ("swagger", "redoc"):
            assert (await client.get(f"/docs/{page}")).status_code == 200
        created = await client.post("/products", json={"name": "mug", "price": 1})
        assert created.status_code == 201
    check(document)
    assert list(document["paths"]) == ["/products"]
    assert document["paths"]["/products"]["get"]["description"] == "This paragraph is the operation's description."
    assert list(document["paths"]["/products"]["post"]["responses"]) == ["201", "409", "422", "default"]
    (listed,) = re.findall(r"registers the route:\n(.*?)\. A `response`", PAGE.read_text(), re.DOTALL)
    assert all(callable(getattr(openapi, name)) for name in re.findall(r"`(\w+)`", listed))
