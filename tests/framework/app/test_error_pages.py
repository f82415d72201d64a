"""What a client sees of an error: in the form that it asked for, and nothing private."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App, Request
from fairlead.error_pages import FORMATS
from fairlead.errors import FairleadException, ServiceUnavailable
from fairlead.testing import AsyncTestClient

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Teapot(FairleadException):
    """An error with everything."""

    status_code = 418


def make_app(**config: Any) -> App:
    """`/teapot` with public context, private extra and markup; `/boom` with a secret; a route for each format."""
    app = App("errors", config)

    @app.get("/teapot")
    async def teapot(request: Request) -> None:
        raise Teapot("<b>short & stout</b>", context={"handle": 1}, extra={"spout": "private"}, headers={"X-Tea": "green"})

    @app.get("/boom")
    async def boom(request: Request) -> None:
        raise ValueError("password is <hunter2>")

    @app.get("/gone")
    async def gone(request: Request) -> None:
        raise ServiceUnavailable("later", retry_after=3)

    for shown in FORMATS:
        app.add_route(teapot, f"/{shown}", name=f"as_{shown}", error_format=shown)
    return app


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/problem+json"),
        ("*/*", "application/problem+json"),
        ("application/json", "application/problem+json"),
        ("application/problem+json", "application/problem+json"),
        (BROWSER, "text/html; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("application/json, text/html", "application/problem+json"),
        ("image/png", "application/problem+json"),
    ],
)
@pytest.mark.parametrize("path", ["/teapot", "/none", "/boom"])
async def test_format_by_accept(accept: str, expected: str, path: str) -> None:
    """Problem details for clients of an API, HTML for browsers, text for those who ask for it, problem details when in doubt."""
    async with AsyncTestClient(make_app()) as client:
        response = await client.get(path, headers={"accept": accept})
    assert response.headers["content-type"] == expected
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"] in response.text


@pytest.mark.parametrize("shown", FORMATS)
async def test_format_of_a_route(shown: str) -> None:
    """The route's format wins over Accept, and the configuration's over "auto" where there is no route."""
    kinds = {"auto": "text/html", "json": "application/problem+json", "html": "text/html", "text": "text/plain"}
    async with AsyncTestClient(make_app(FALLBACK_ERROR_FORMAT=shown)) as client:
        for path in (f"/{shown}", "/none"):
            response = await client.get(path, headers={"accept": BROWSER})
            assert response.headers["content-type"].partition(";")[0] == kinds[shown]


async def test_what_an_error_shows() -> None:
    """Status, message, public context and headers; the private part not, and markup is text."""
    async with AsyncTestClient(make_app()) as client:
        problem = await client.get("/teapot")
        page = await client.get("/html")
        text = await client.get("/text")
        later = await client.get("/gone")
    assert problem.json() == {
        "type": "about:blank",
        "title": "I'm a Teapot",
        "status": 418,
        "detail": "<b>short & stout</b>",
        "request_id": problem.headers["x-request-id"],
        "handle": 1,
    }
    assert "&lt;b&gt;short &amp; stout&lt;/b&gt;" in page.text
    assert "<b>" not in page.text
    assert text.text.startswith("418 I'm a Teapot\n<b>short & stout</b>\nrequest id: ")
    for response in (problem, page, text):
        assert (response.status_code, response.headers["x-tea"]) == (418, "green")
        assert "private" not in response.text
    assert later.headers["retry-after"] == "3"


@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/plain"])
async def test_unexpected_failure_shows_nothing_of_itself(accept: str) -> None:
    """Outside of debug mode an exception that nobody expected is a bare 500."""
    async with AsyncTestClient(make_app()) as client:
        response = await client.get("/boom", headers={"accept": accept})
    assert response.status_code == 500
    for word in ("hunter2", "ValueError", "Traceback", ".py"):
        assert word not in response.text


@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/plain"])
async def test_debug_mode_shows_the_cause(accept: str) -> None:
    """In debug mode the page holds the traceback, and what an error keeps private; markup is still text."""
    async with AsyncTestClient(make_app(DEBUG=True)) as client:
        response = await client.get("/boom", headers={"accept": accept})
        teapot = await client.get("/teapot")
    assert "ValueError: password is" in response.text
    assert ("<hunter2>" in response.text) is (accept != "text/html")
    assert teapot.json()["debug"]["spout"] == "private"
