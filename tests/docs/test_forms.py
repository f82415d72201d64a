"""docs/guide/forms.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from fairlead import App
from fairlead.config import DEFAULTS
from fairlead.testing import AsyncTestClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "forms.md"


def app_of(name: str, **changes: Any) -> App[Any, Any]:
    """The application that the block with `App("name")` makes."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f'App("{name}")' in block]
    names: dict[str, Any] = {}
    exec(compile(block, f"{PAGE}:{name}", "exec"), names)
    names.update(changes)
    app: App[Any, Any] = names["app"]
    return app


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert re.findall(r"App\(\"(\w+)\"\)", PAGE.read_text()) == ["profile", "archive", "checksums"]
    assert PAGE.read_text().count("```python") == 3


def test_limits_are_those_of_the_configuration() -> None:
    """The table shows every setting of forms with its default."""
    rows = dict(re.findall(r"^\| `(FORM_\w+)` \| ([\d,]+)", PAGE.read_text(), re.MULTILINE))
    assert {name: int(value.replace(",", "")) for name, value in rows.items()} == {
        name: value for name, value in DEFAULTS.items() if name.startswith("FORM_")
    }


async def test_form_in_memory() -> None:
    """Fields and files, with and without a photo."""
    async with AsyncTestClient(app_of("profile")) as client:
        response = await client.post("/profile", data={"name": "Ada"}, files={"photo": ("me.png", b"abc")})
        assert response.json() == {"name": "Ada", "photo": "me.png", "bytes": 3}
        assert (await client.post("/profile", data={"name": "Ada"})).json() == {"name": "Ada", "photo": None, "bytes": 0}
        assert (await client.post("/profile", json={})).status_code == 415


async def test_streamed_form(tmp_path: Path) -> None:
    """Files are saved under names of the handler's own."""
    async with AsyncTestClient(app_of("archive", folder=tmp_path)) as client:
        response = await client.post("/archive", files=[("file", ("../x", b"a" * 300_000)), ("file", ("x", b"b"))])
    assert response.status_code == 201
    assert [(Path(path).parent, Path(path).stat().st_size) for path, _ in response.json()] == [(tmp_path, 300_000), (tmp_path, 1)]


async def test_part_by_part() -> None:
    """Each part is seen as it arrives."""
    async with AsyncTestClient(app_of("checksums")) as client:
        response = await client.post("/checksums", files={"a": b"1" * 300_000, "b": b""})
    assert response.json() == {"a": sha256(b"1" * 300_000).hexdigest(), "b": sha256(b"").hexdigest()}
