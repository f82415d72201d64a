"""Sanic's guide, chapter Response: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

import json as standard_json
from pathlib import Path
from typing import Any

import pytest

from tests.framework.guide.framework import ON_SANIC, App, HTTPResponse, empty, file, file_stream, html, json, raw, redirect, text


def answer(make: Any, uri: str = "/", **options: Any) -> Any:
    """The client's view of a response."""
    app = App("answer", **options)

    @app.get("/")
    async def handler(request: Any) -> Any:
        response = make()
        return await response if hasattr(response, "__await__") else response

    _, response = app.test_client.get(uri, allow_redirects=False)
    return response


@pytest.mark.parametrize(
    ("make", "status", "content_type", "body"),
    [
        (lambda: text("Hi 😎"), 200, "text/plain; charset=utf-8", "Hi 😎".encode()),
        (lambda: html("<div>Hi 😎</div>"), 200, "text/html; charset=utf-8", "<div>Hi 😎</div>".encode()),
        (lambda: json({"foo": "bar"}), 200, "application/json", b'{"foo":"bar"}'),
        (lambda: raw(b"raw bytes"), 200, "application/octet-stream", b"raw bytes"),
        (lambda: empty(), 204, None, b""),
        (lambda: HTTPResponse("text", 201, {"x-own": "1"}, "text/css"), 201, "text/css", b"text"),
        (lambda: json({"created": True}, status=201), 201, "application/json", b'{"created":true}'),
        (lambda: text("no", 404), 404, "text/plain; charset=utf-8", b"no"),
    ],
)
def test_kinds(make: Any, status: int, content_type: str | None, body: bytes) -> None:
    """Content type, status and body of each convenience function."""
    response = answer(make)
    assert (response.status, response.headers.get("content-type"), response.body) == (status, content_type, body)


def test_redirect() -> None:
    """302 to a place."""
    response = answer(lambda: redirect("/login"))
    assert (response.status, response.headers["location"]) == (302, "/login")


def test_html_objects() -> None:
    """`html` takes what knows to present itself."""

    class Own:
        def __html__(self) -> str:
            return "<b>own</b>"

    class Notebook:
        def _repr_html_(self) -> str:
            return "<i>notebook</i>"

    assert answer(lambda: html(Own())).text == "<b>own</b>"
    assert answer(lambda: html(Notebook())).text == "<i>notebook</i>"


def test_own_encoder() -> None:
    """`dumps` of one response, and of the application (which Sanic keeps for all applications to come: not tried there)."""

    def dumps(value: Any, **options: Any) -> str:
        return standard_json.dumps({"wrapped": value})

    assert answer(lambda: json(1, dumps=dumps)).json == {"wrapped": 1}
    if not ON_SANIC:
        assert answer(lambda: json(1), dumps=dumps).json == {"wrapped": 1}
        assert answer(lambda: json(1)).json == 1


def test_files(tmp_path: Path) -> None:
    """Guessed or given media type, another file name, in pieces."""
    path = tmp_path / "whatever.css"
    path.write_bytes(b"body {}")
    response = answer(lambda: file(path))
    assert (response.body, response.headers["content-type"].partition(";")[0]) == (b"body {}", "text/css")
    assert answer(lambda: file(path, mime_type="image/png")).headers["content-type"].startswith("image/png")
    named = answer(lambda: file(path, filename="super.css"))
    assert named.headers["content-disposition"] == 'attachment; filename="super.css"'
    streamed = answer(lambda: file_stream(path, chunk_size=2))
    assert (streamed.body, streamed.headers["content-type"].partition(";")[0]) == (b"body {}", "text/css")


def test_json_that_changes() -> None:
    """`set_body`, `append`, `extend`, `update`, `pop`, `raw_body`."""
    response = json({"foo": "bar"})
    response.update({"something": "else"})
    assert standard_json.loads(response.body) == response.raw_body == {"foo": "bar", "something": "else"}
    response.pop("foo")
    response.raw_body = {**response.raw_body, "third": 3}
    assert standard_json.loads(response.body) == {"something": "else", "third": 3}
    items = json(["foo"])
    items.append("bar")
    items.extend(["baz"])
    assert items.pop(0) == "foo"
    assert standard_json.loads(items.body) == ["bar", "baz"]
    items.set_body([1])
    assert items.body == b"[1]"
