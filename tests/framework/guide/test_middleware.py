"""Sanic's guide, chapter Middleware: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

from typing import Any

from tests.framework.guide.framework import App, Blueprint, exceptions, text


def test_modification_and_order() -> None:
    """Request middleware as declared, response middleware in reverse; both may change what they are given."""
    app, seen = App("order"), []

    @app.on_request
    async def middleware_1(request: Any) -> None:
        seen.append("middleware_1")
        request.ctx.foo = "bar"

    @app.middleware("request")
    async def middleware_2(request: Any) -> None:
        seen.append("middleware_2")

    @app.on_response
    async def middleware_3(request: Any, response: Any) -> None:
        seen.append("middleware_3")
        response.headers["x-banner"] = "Fake-Server"

    @app.middleware("response")
    async def middleware_4(request: Any, response: Any) -> None:
        seen.append("middleware_4")

    @app.get("/handler")
    async def handler(request: Any) -> Any:
        seen.append("handler")
        return text(request.ctx.foo)

    _, response = app.test_client.get("/handler")
    assert seen == ["middleware_1", "middleware_2", "handler", "middleware_4", "middleware_3"]
    assert (response.text, response.headers["x-banner"]) == ("bar", "Fake-Server")


def test_registering() -> None:
    """`register_middleware`, with and without `attach_to`; plain functions too."""
    app, seen = App("registering"), []
    app.register_middleware(lambda request: seen.append("request"), "request")
    app.register_middleware(lambda request, response: seen.append("response"), "response")
    app.get("/")(lambda request: text("OK"))
    app.test_client.get("/")
    assert seen == ["request", "response"]


def test_match_info() -> None:
    """Request middleware may change the handler's parameters."""
    app = App("match")

    @app.on_request
    def convert_slug_to_underscore(request: Any) -> None:
        request.match_info["slug"] = request.match_info["slug"].replace("-", "_")

    @app.get("/<slug:slug>")
    async def handler(request: Any, slug: str) -> Any:
        return text(slug)

    assert app.test_client.get("/foo-bar-baz")[1].text == "foo_bar_baz"


def test_responding_early() -> None:
    """What request middleware returns is the response, and neither the handler nor later request middleware runs."""
    app, seen = App("early"), []

    @app.on_request
    async def halt_request(request: Any) -> Any:
        return text("I halted the request")

    @app.on_request
    async def never(request: Any) -> None:
        seen.append("never")

    @app.on_response
    async def note(request: Any, response: Any) -> None:
        seen.append("response")

    @app.get("/")
    async def handler(request: Any) -> Any:
        seen.append("never")
        return text("")

    assert app.test_client.get("/")[1].text == "I halted the request"
    assert seen == ["response"]


def test_replacing_the_response() -> None:
    """What response middleware returns is sent instead."""
    app = App("replacing")

    @app.on_response
    async def halt_response(request: Any, response: Any) -> Any:
        return text("I halted the response")

    app.get("/")(lambda request: text("OK"))
    assert app.test_client.get("/")[1].text == "I halted the response"


def test_priority() -> None:
    """A higher priority runs earlier on requests, and later on responses."""
    app, seen = App("priority"), []

    def note(name: str) -> Any:
        return lambda *arguments: seen.append(name)

    app.on_request(note("low"))
    app.on_request(priority=99)(note("high"))
    app.on_response(priority=99)(note("response high"))
    app.on_response(note("response low"))
    app.get("/")(lambda request: text("OK"))
    app.test_client.get("/")
    assert seen == ["high", "low", "response low", "response high"]


def test_blueprints() -> None:
    """The application's runs for all routes, a blueprint's for its own, after the application's."""
    app, bp, seen = App("blueprints"), Blueprint("bp", url_prefix="/bp"), []
    app.on_request(lambda request: seen.append("app"))
    bp.on_request(lambda request: seen.append("bp"))
    app.get("/")(lambda request: text("OK"))
    bp.get("/")(lambda request: text("OK"))
    app.blueprint(bp)
    app.test_client.get("/")
    assert seen == ["app"]
    seen.clear()
    app.test_client.get("/bp/")
    assert seen == ["app", "bp"]


def test_errors() -> None:
    """Middleware runs for a 404, too, and response middleware sees the answers to exceptions."""
    app, seen = App("errors"), []
    app.on_request(lambda request: seen.append("request"))
    app.on_response(lambda request, response: seen.append(response.status))

    @app.get("/")
    async def handler(request: Any) -> Any:
        raise exceptions.Forbidden("no")

    assert app.test_client.get("/")[1].status == 403
    assert app.test_client.get("/nowhere")[1].status == 404
    assert seen == ["request", 403, "request", 404]
