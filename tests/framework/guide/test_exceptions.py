"""Sanic's guide, chapter Exceptions: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.framework.guide.framework import App, BaseError, ErrorHandler, exceptions, json, text


def raised(error: Any, *, accept: str = "application/json", prepare: Any = None, **route: Any) -> Any:
    """The client's view of an exception."""
    app = App("raised")
    if prepare is not None:
        prepare(app)

    @app.get("/", **route)
    async def handler(request: Any) -> Any:
        raise error

    return app.test_client.get("/", headers={"accept": accept})[1]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("BadRequest", 400),
        ("Unauthorized", 401),
        ("Forbidden", 403),
        ("NotFound", 404),
        ("RequestTimeout", 408),
        ("PayloadTooLarge", 413),
        ("ExpectationFailed", 417),
        ("ServerError", 500),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
        ("InvalidUsage", 400),
    ],
)
def test_standard_exceptions(name: str, status: int) -> None:
    """Each has its status."""
    assert raised(getattr(exceptions, name)("message")).status == status


def test_properties() -> None:
    """Message, status, headers and quiet, given or declared by a subclass."""

    class TeapotError(BaseError):  # type: ignore[misc]
        status_code = 418
        message = "Sorry, I cannot brew coffee"
        quiet = True
        headers = {"X-Foo": "bar"}  # noqa: RUF012

    response = raised(TeapotError)
    assert (response.status, response.headers["x-foo"]) == (418, "bar")
    assert "Sorry, I cannot brew coffee" in response.text
    response = raised(TeapotError("other", status_code=400, headers={"X-Own": "1"}))
    assert (response.status, response.headers["x-own"]) == (400, "1")
    assert "other" in response.text
    assert raised(BaseError("Something went wrong.", status_code=501)).status == 501
    assert str(TeapotError()) == "Sorry, I cannot brew coffee"


def test_unauthorized() -> None:
    """Says how to sign in."""
    response = raised(exceptions.Unauthorized("Auth required.", scheme="Basic", realm="Restricted Area"))
    assert response.headers["www-authenticate"] == 'Basic realm="Restricted Area"'


def test_extra_and_context() -> None:
    """`extra` makes messages and stays inside; `context` is sent."""

    class TeapotError(BaseError):  # type: ignore[misc]
        status_code = 418

        @property
        def message(self) -> str:
            return f"Sorry {self.extra['name']}, I cannot make you coffee"

    response = raised(TeapotError(extra={"name": "Adam", "secret": "xyzzy"}, context={"foo": "bar"}))
    assert response.status == 418
    assert "Sorry Adam, I cannot make you coffee" in response.text
    assert '"foo":"bar"' in response.text.replace(" ", "")
    assert "xyzzy" not in response.text


def test_handling() -> None:
    """`@app.exception` for one, for several, for everything; subclasses too; the nearest wins."""

    class Own(Exception):
        pass

    class Narrower(Own):
        pass

    app = App("handling")
    app.exception(exceptions.NotFound, Own)(lambda request, exception: text(f"own {type(exception).__name__}"))

    @app.exception(Exception)
    async def catch_anything(request: Any, exception: Exception) -> Any:
        return text("anything", 500)

    @app.get("/<kind>")
    async def handler(request: Any, kind: str) -> Any:
        raise {"own": Own, "narrower": Narrower, "other": ZeroDivisionError}[kind]

    expected = {"/own": "own Own", "/narrower": "own Narrower", "/other": "anything", "/": "own NotFound"}
    assert {path: app.test_client.get(path)[1].text for path in expected} == expected


def test_error_handler_object() -> None:
    """`app.error_handler.add`, and a subclass that answers what nobody else does."""

    class Custom(ErrorHandler):  # type: ignore[misc]
        def default(self, request: Any, exception: Exception) -> Any:
            return json({"error": str(exception), "foo": "bar"}, status=getattr(exception, "status_code", 500))

    app = App("custom", error_handler=Custom())
    app.error_handler.add(ZeroDivisionError, lambda request, exception: text("Oops", status=500))

    @app.get("/<kind>")
    async def handler(request: Any, kind: str) -> Any:
        raise {"zero": ZeroDivisionError, "other": exceptions.Forbidden("no")}[kind]

    assert app.test_client.get("/zero")[1].text == "Oops"
    _, response = app.test_client.get("/other")
    assert (response.status, response.json) == (403, {"error": "no", "foo": "bar"})


@pytest.mark.parametrize(
    ("error_format", "content_type"),
    [("html", "text/html"), ("text", "text/plain"), ("json", "json")],
)
def test_formats(error_format: str, content_type: str) -> None:
    """Of a route, of the application, and as the client prefers."""
    error = exceptions.Forbidden("no")
    assert content_type in raised(error, error_format=error_format, accept="*/*").headers["content-type"]

    def prepare(app: Any) -> None:
        app.config.FALLBACK_ERROR_FORMAT = error_format

    assert content_type in raised(error, prepare=prepare, accept="*/*").headers["content-type"]
    wanted = {"html": "text/html", "text": "text/plain", "json": "application/json"}[error_format]

    def auto(app: Any) -> None:
        app.config.FALLBACK_ERROR_FORMAT = "auto"

    assert content_type in raised(error, prepare=auto, accept=wanted).headers["content-type"]


def test_unexpected_exceptions_show_nothing() -> None:
    """Outside of debug mode."""
    response = raised(ZeroDivisionError("private"))
    assert response.status == 500
    assert "private" not in response.text


def test_reporting() -> None:
    """`report_exception` is told of every exception, in the background."""
    app, seen = App("reporting"), []

    @app.report_exception
    async def report(app: Any, exception: Exception) -> None:
        seen.append((app.name, str(exception)))

    @app.get("/")
    async def handler(request: Any) -> Any:
        raise exceptions.Forbidden("no")

    @app.after_server_stop
    async def wait(app: Any) -> None:
        await asyncio.sleep(0)

    assert app.test_client.get("/")[1].status == 403
    assert seen == [("reporting", "no")]
