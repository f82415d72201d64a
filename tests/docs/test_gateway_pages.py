"""docs/how-to/asgi.md and docs/guide/mounting.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fairlead import App
from fairlead.testing import AsyncTestClient
from tests.framework.asgi.harness import CONNECT, Call, http_scope, websocket_scope

DOCS = Path(__file__).resolve().parents[2] / "docs"
ASGI, MOUNTING = DOCS / "how-to" / "asgi.md", DOCS / "guide" / "mounting.md"
NAMES = {ASGI: ["shop", "measured"], MOUNTING: ["outer", "with_django", "live"]}


def names_of(page: Path, name: str) -> dict[str, Any]:
    """What the block with `App("name")` defines."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f'App("{name}")' in block]
    names: dict[str, Any] = {"__name__": name}
    exec(compile(block, f"{page}:{name}", "exec"), names)
    return names


def app_of(page: Path, name: str) -> App[Any, Any]:
    app: App[Any, Any] = names_of(page, name)["app"]
    return app


@pytest.mark.parametrize("page", list(NAMES))
def test_no_block_is_left_out(page: Path) -> None:
    """A block that is added to a page needs a test here."""
    assert re.findall(r"App\(\"(\w+)\"\)", page.read_text()) == NAMES[page]
    assert page.read_text().count("```python") == len(NAMES[page])


async def test_asgi() -> None:
    """The application is callable as a server calls it."""
    app = app_of(ASGI, "shop")
    lifespan = Call(app, {"type": "lifespan"})
    lifespan.give({"type": "lifespan.startup"})
    assert await lifespan.next() == {"type": "lifespan.startup.complete"}
    assert (await Call(app, http_scope()).ended())[1]["body"] == b"the pool is open"
    call = Call(app, websocket_scope("/echo"))
    call.give(CONNECT, {"type": "websocket.receive", "text": "hi"})
    await call.next()
    assert (await call.next())["text"] == "hi"
    call.give({"type": "websocket.disconnect", "code": 1000})
    await call.ended()
    lifespan.give({"type": "lifespan.shutdown"})
    await lifespan.ended()


async def test_telemetry_under_an_asgi_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics have a route, which asks for the token."""
    configured: list[dict[str, Any]] = []
    monkeypatch.setattr("fairlead.telemetry.logging.configure", lambda **options: configured.append(options))
    monkeypatch.setenv("METRICS_TOKEN", "of sixteen characters")
    async with AsyncTestClient(app_of(ASGI, "measured")) as client:
        assert (await client.get("/metrics")).status_code == 401
        answer = await client.get("/metrics", headers={"authorization": "Bearer of sixteen characters"})
    assert (answer.status_code, configured) == (200, [{"service": "measured"}])


async def test_fastapi() -> None:
    """Both applications answer below their paths."""
    async with AsyncTestClient(app_of(MOUNTING, "outer")) as client:
        assert (await client.get("/legacy/items/7")).json() == {"number": 7}
        assert (await client.get("/items/7")).json() == {"number": 7, "new": True}


async def test_django() -> None:
    """Where Django is configured already (by another test) the block mounts that project, whose routes are its own."""
    names = names_of(MOUNTING, "with_django")
    names["settings"].ROOT_URLCONF = (names["path"]("items/<int:number>", names["show"]),)
    names["django"].urls.clear_url_caches()
    async with AsyncTestClient(names["app"]) as client:
        assert (await client.get("/admin/items/7")).json() == {"number": 7, "path": "/admin/items/7"}


async def test_socketio() -> None:
    """Its handshake is answered at its usual path."""
    async with AsyncTestClient(app_of(MOUNTING, "live")) as client:
        response = await client.get("/socket.io/?EIO=4&transport=polling")
        assert (response.status_code, '"upgrades":["websocket"]' in response.text) == (200, True)
