"""Who answers an exception (S)."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App, Request, text
from fairlead.error_handler import ErrorHandler
from fairlead.errors import FairleadException, NotFound
from fairlead.testing import AsyncTestClient


def test_lookup() -> None:
    """The nearest class wins; none is none."""
    handlers, general = ErrorHandler(), App("a").error_handler
    handlers.add(FairleadException, general.default)
    assert handlers.lookup(NotFound("x")) == general.default
    assert handlers.lookup(KeyError()) is None


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_default_of_its_own(is_async: bool) -> None:
    """A subclass answers what nobody else does, plain or async, with whatever a handler may return."""

    class Own(ErrorHandler):
        def default(self, request: Request[Any, Any], exception: Exception) -> Any:
            async def later() -> Any:
                return {"error": str(exception)}

            return later() if is_async else {"error": str(exception)}

    app = App("a", error_handler=Own())
    app.exception(KeyError)(lambda request, exception: text("key"))

    @app.get("/<kind>")
    def handler(request: Request[Any, Any], kind: str) -> None:
        raise KeyError if kind == "key" else NotFound("nothing")

    async with AsyncTestClient(app) as client:
        assert (await client.get("/key")).text == "key"
        assert (await client.get("/other")).json() == {"error": "nothing"}


async def test_a_default_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Is logged, and the client gets a plain 500."""

    class Broken(ErrorHandler):
        def default(self, request: Request[Any, Any], exception: Exception) -> Any:
            raise RuntimeError("on purpose")

    app = App("a", error_handler=Broken())
    async with AsyncTestClient(app) as client:
        response = await client.get("/nowhere")
    assert (response.status_code, response.json()["title"]) == (500, "Internal Server Error")
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]


async def test_missing_pages_of_blueprints() -> None:
    """The longest prefix that fits, with its parameters and hosts; one without a prefix claims nothing."""
    from fairlead import Blueprint

    app = App("a")
    for name, prefix, host in (
        ("outer", "/api", None),
        ("inner", "/api/<user:int>/items", None),
        ("hosted", "/hosted", "own.example"),
        ("root", "", None),
    ):
        blueprint = Blueprint(name, url_prefix=prefix, host=host)
        blueprint.exception(NotFound)(lambda request, exception, name=name: text(name, 404))
        app.blueprint(blueprint)
    async with AsyncTestClient(app) as client:
        for path, host, expected in (
            ("/api/x", "a", "outer"),
            ("/api", "a", "outer"),
            ("/api/7/items/x", "a", "inner"),
            ("/api/seven/items/x", "a", "outer"),
            ("/hosted/x", "own.example:80", "hosted"),
            ("/hosted/x", "other.example", None),
            ("/apis", "a", None),
        ):
            response = await client.get(path, headers={"host": host})
            assert response.text == expected if expected else "application/problem" in response.headers["content-type"], path
