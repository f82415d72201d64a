"""Sanic's guide, chapter Signals: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.framework.guide.framework import App, BaseError, Blueprint, Event, text


def within(app: Any, work: Any) -> None:
    """Run a coroutine function inside of a handler: a server is up, and the signals are final."""
    failures: list[BaseException] = []

    @app.get("/within")
    async def handler(request: Any) -> Any:
        try:
            await work()
        except BaseException as exc:
            failures.append(exc)
        return text("")

    app.test_client.get("/within")
    for failure in failures:
        raise failure


def test_adding_and_dispatching() -> None:
    """`add_signal` and the decorator; context arrives as keyword arguments; dispatching doesn't wait for the end."""
    app, seen = App("adding"), []

    async def my_signal_handler(**context: Any) -> None:
        seen.append(context)

    app.add_signal(my_signal_handler, "something.happened.ohmy")
    app.signal("something.happened.else")(my_signal_handler)

    async def work() -> None:
        task = await app.dispatch("something.happened.ohmy", context={"hello": "world"})
        await task
        await (await app.dispatch("something.happened.else"))

    within(app, work)
    assert seen == [{"hello": "world"}, {}]


def test_event_parameters() -> None:
    """Only the third part may be dynamic; it has the types of paths."""
    app, seen = App("parameters"), []
    app.signal("foo.bar.<thing>")(lambda thing, **_: seen.append(thing))
    app.signal("foo.number.<n:int>")(lambda n, **_: seen.append(n))

    async def work() -> None:
        await app.dispatch("foo.bar.baz", inline=True)
        await app.dispatch("foo.number.7", inline=True)

    within(app, work)
    assert seen == ["baz", 7]
    other = App("other")
    for event in ("foo.<bar>.baz", "foo.bar", "a.b.c.d"):
        with pytest.raises(BaseError):
            other.signal(event)(lambda: None)


def test_conditions() -> None:
    """A handler with a condition hears dispatches with that condition; not exclusive, those without as well."""
    app, seen = App("conditions"), []
    app.signal("foo.bar.baz", condition={"one": "two"})(lambda **_: seen.append("exclusive"))
    app.signal("foo.bar.baz", condition={"one": "two"}, exclusive=False)(lambda **_: seen.append("open"))

    async def work() -> None:
        await app.dispatch("foo.bar.baz", inline=True)
        assert seen == ["open"]
        await app.dispatch("foo.bar.baz", condition={"one": "two"}, inline=True)
        assert seen == ["open", "exclusive", "open"]
        await app.dispatch("foo.bar.baz", condition={"one": "three"}, inline=True)
        assert len(seen) == 3

    within(app, work)


def test_waiting() -> None:
    """`event` waits; `*` stands for every action; what nobody listens to can't be waited for."""
    app = App("waiting")
    app.signal("foo.bar.<thing>")(lambda **_: None)
    app.signal("foo.one.two")(lambda **_: None)

    async def work() -> None:
        waiting = [asyncio.ensure_future(app.event(event)) for event in ("foo.bar.*", "foo.one.two")]
        await asyncio.sleep(0)
        await app.dispatch("foo.bar.baz", context={"n": 1})
        await app.dispatch("foo.one.two", context={"n": 2})
        found = await asyncio.wait_for(asyncio.gather(*waiting), 5)
        assert [context["n"] for context in found] == [1, 2]
        with pytest.raises(asyncio.TimeoutError):
            await app.event("foo.one.two", timeout=0.01)
        with pytest.raises(Exception, match=r"Could not find signal no\.such\.event"):
            await app.event("no.such.event")

    within(app, work)


def test_blueprints() -> None:
    """The application's dispatch reaches blueprints; a blueprint's reaches its own alone."""
    app, bp, seen = App("blueprints"), Blueprint("bp"), []
    app.signal("foo.bar.baz")(lambda **_: seen.append("app"))
    bp.signal("foo.bar.baz")(lambda **_: seen.append("bp"))
    app.blueprint(bp)

    async def work() -> None:
        await (await app.dispatch("foo.bar.baz"))
        assert sorted(seen) == ["app", "bp"]
        await asyncio.gather(*await bp.dispatch("foo.bar.baz"))
        assert sorted(seen) == ["app", "bp", "bp"]

    within(app, work)


def test_built_in_signals() -> None:
    """Those of the guide's table around a request, as text or as `Event`, in their order."""
    app, seen = App("built-in"), []
    events = [
        Event.HTTP_LIFECYCLE_REQUEST,
        Event.HTTP_LIFECYCLE_HANDLE,
        Event.HTTP_ROUTING_BEFORE,
        Event.HTTP_ROUTING_AFTER,
        Event.HTTP_HANDLER_BEFORE,
        Event.HTTP_HANDLER_AFTER,
        Event.HTTP_LIFECYCLE_RESPONSE,
    ]
    for event in events:
        app.signal(event)(lambda event=event, **context: seen.append((event, sorted(context))))
    app.signal("http.middleware.before", condition={"attach_to": "request"})(lambda **_: seen.append(("middleware", [])))
    app.on_request(lambda request: None)
    app.get("/")(lambda request: text(""))
    app.test_client.get("/")
    names = [name for name, _ in seen if name in events]
    assert names == events
    assert ("middleware", []) in seen
    contexts = dict(seen)
    assert contexts[Event.HTTP_ROUTING_AFTER] == ["handler", "kwargs", "request", "route"]
    assert contexts[Event.HTTP_LIFECYCLE_RESPONSE] == ["request", "response"]


def test_server_signals() -> None:
    """Start and end, with the application and the loop."""
    app, seen = App("server"), []
    events = (Event.SERVER_INIT_BEFORE, Event.SERVER_INIT_AFTER, Event.SERVER_SHUTDOWN_BEFORE, Event.SERVER_SHUTDOWN_AFTER)
    for event in events:
        app.signal(event)(lambda app, loop, event=event: seen.append(event))
    app.get("/")(lambda request: text(""))
    app.test_client.get("/")
    assert seen == list(events)
