"""Sanic's guide, chapter Listeners: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.framework.guide.framework import App, Blueprint, json, text

START = ("before_server_start", "after_server_start")
STOP = ("before_server_stop", "after_server_stop")


def serve(app: Any) -> None:
    """Start the application, ask it once, stop it."""
    app.get("/")(lambda request: text("OK"))
    assert app.test_client.get("/")[1].status == 200


def test_attaching() -> None:
    """`register_listener`, `listener`, and a decorator for each event; what a listener opens is there for handlers."""
    app = App("attaching")

    async def setup_db(app: Any) -> None:
        app.ctx.first = "registered"

    app.register_listener(setup_db, "before_server_start")

    @app.listener("before_server_start")
    async def second(app: Any) -> None:
        app.ctx.second = "listener"

    @app.before_server_start
    def third(app: Any) -> None:
        app.ctx.third = "decorated"

    @app.get("/ctx")
    async def handler(request: Any) -> Any:
        ctx = request.app.ctx
        return json([ctx.first, ctx.second, ctx.third])

    assert app.test_client.get("/ctx")[1].json == ["registered", "listener", "decorated"]


def test_order() -> None:
    """As declared at the start, in reverse at the end."""
    app, seen = App("order"), []
    for event in (*START, *STOP):
        for number in (1, 2):
            app.listener(event)(lambda app, event=event, number=number: seen.append((event, number)))
    serve(app)
    assert seen == [(event, number) for event in START for number in (1, 2)] + [
        (event, number) for event in STOP for number in (2, 1)
    ]


def test_loop() -> None:
    """A listener that takes two arguments is given the loop as well."""
    app, seen = App("loop"), []

    @app.before_server_start
    async def with_loop(app: Any, loop: Any) -> None:
        seen.append(loop is asyncio.get_running_loop())

    serve(app)
    assert seen == [True]


def test_priority() -> None:
    """Priority, then the application before its blueprints, then as declared."""
    app, bp, seen = App("priority"), Blueprint("bp"), []

    def note(name: str) -> Any:
        async def listener(app: Any) -> None:
            seen.append(name)

        return listener

    app.before_server_start(note("first"))
    app.listener("before_server_start", priority=2)(note("second"))
    app.before_server_start(priority=3)(note("third"))
    bp.before_server_start(note("bp_first"))
    bp.listener("before_server_start", priority=2)(note("bp_second"))
    bp.before_server_start(priority=3)(note("bp_third"))
    app.before_server_start(note("fourth"))
    app.blueprint(bp)
    serve(app)
    assert seen == ["third", "bp_third", "second", "bp_second", "first", "fourth", "bp_first"]
