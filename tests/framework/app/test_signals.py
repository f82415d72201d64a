"""Signals: who is called with what, in which order, and who waits (S)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead import App, Blueprint, text
from fairlead.errors import InvalidSignal, SignalNotFound
from fairlead.signals import Event, split_event
from fairlead.testing import AsyncTestClient

Heard = list[tuple[str, dict[str, Any]]]


def hear(app: Any, heard: Heard, name: str, event: str, **options: Any) -> None:
    """A handler that leaves its name and what it was given."""
    app.signal(event, **options)(lambda **context: heard.append((name, context)))


async def test_order_and_parameters() -> None:
    """By priority, then as registered; parameters are converted, and the context wins over them."""
    app, heard = App("a"), []
    for name, priority in (("first", 0), ("second", 0), ("urgent", 5), ("late", -1)):
        hear(app, heard, name, "foo.bar.7", priority=priority)
    hear(app, heard, "dynamic", "foo.bar.<thing:int>", priority=-2)
    hear(app, heard, "never", "foo.bar.<thing:alpha>")
    await app.dispatch("foo.bar.7", inline=True)
    assert [name for name, _ in heard] == ["urgent", "first", "second", "late", "dynamic"]
    assert heard[-1] == ("dynamic", {"thing": 7})
    heard.clear()
    await app.dispatch("foo.bar.7", context={"thing": "own", "who": 1}, inline=True, reverse=True)
    assert heard[0] == ("dynamic", {"thing": "own", "who": 1})
    assert [name for name, _ in heard][1:] == ["late", "second", "first", "urgent"]


async def test_arguments_are_those_that_are_named() -> None:
    """A handler is given what it names; what is missing is its own error."""
    app, seen = App("a"), []
    app.add_signal(lambda thing: seen.append(thing), "foo.bar.<thing>")
    await app.dispatch("foo.bar.baz", context={"more": 1}, inline=True)
    assert seen == ["baz"]
    app = App("b")
    app.add_signal(lambda missing: None, "foo.bar.baz")
    with pytest.raises(TypeError, match="missing"):
        await app.dispatch("foo.bar.baz", inline=True)


async def test_the_first_true_result_ends_it() -> None:
    """Inline returns the first true result, and what follows doesn't run."""
    app, heard = App("a"), []

    async def answers() -> str:
        return "answer"

    hear(app, heard, "none", "foo.bar.baz", priority=1)
    app.add_signal(answers, "foo.bar.baz")
    hear(app, heard, "never", "foo.bar.baz", priority=-1)
    assert await app.dispatch("foo.bar.baz", inline=True) == "answer"
    assert [name for name, _ in heard] == ["none"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, ["any", "open", "blueprint", "own"]),
        ({}, ["any", "open", "blueprint", "own"]),
        ({"x": 1}, ["exclusive", "open", "own"]),
        ({"x": 2}, []),
    ],
)
async def test_conditions(condition: dict[str, int] | None, expected: list[str]) -> None:
    """An equal condition, or none for handlers that are not exclusive; a blueprint's never are."""
    app, blueprint, heard = App("a"), Blueprint("b"), []
    hear(app, heard, "any", "foo.bar.baz")
    hear(app, heard, "exclusive", "foo.bar.baz", condition={"x": 1})
    hear(app, heard, "open", "foo.bar.baz", condition={"x": 1}, exclusive=False)
    hear(blueprint, heard, "blueprint", "foo.bar.baz")
    hear(blueprint, heard, "own", "foo.bar.baz", condition={"x": 1})
    app.blueprint(blueprint)
    await app.dispatch("foo.bar.baz", condition=condition, inline=True)
    assert sorted(name for name, _ in heard) == sorted(expected)


async def test_blueprints() -> None:
    """What is dispatched to a blueprint reaches its handlers alone, in each application that has it."""
    first, second, blueprint, heard = App("a"), App("b"), Blueprint("b"), []
    for app in (first, second):
        hear(app, heard, "app", "foo.bar.baz")
        app.blueprint(blueprint)
    hear(blueprint, heard, "blueprint", "foo.bar.baz")
    hear(blueprint, heard, "conditional", "foo.bar.baz", condition={"x": 1})
    assert await blueprint.dispatch("foo.bar.baz", inline=True) == [None, None]
    assert [name for name, _ in heard] == ["blueprint", "blueprint"]
    heard.clear()
    await blueprint.dispatch("foo.bar.baz", condition={"x": 1}, inline=True)
    assert [name for name, _ in heard] == ["conditional", "conditional"]


async def test_in_the_background(caplog: pytest.LogCaptureFixture) -> None:
    """Without `inline` a task runs the handlers; a failure of theirs is logged, reported, and the task's."""
    app, reported, told = App("a"), [], asyncio.Event()

    @app.signal("foo.bar.baz")
    def fails() -> None:
        raise RuntimeError("on purpose")

    @app.catch_exception
    async def report(app: Any, exception: Exception) -> None:
        reported.append((app, str(exception)))
        told.set()

    task = await app.dispatch("foo.bar.baz")
    with pytest.raises(RuntimeError, match="on purpose"):
        await task
    await told.wait()
    assert reported == [(app, "on purpose")]
    assert [record.message for record in caplog.records] == ["task failed"]
    await (await app.dispatch("no.such.event"))


async def test_a_report_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It is not reported again: that would never end."""
    app, told = App("a"), asyncio.Event()

    @app.signal("foo.bar.baz")
    @app.report_exception
    def fails(*context: Any) -> None:
        if context:
            told.set()
        raise RuntimeError("on purpose")

    await app.dispatch("foo.bar.baz")
    await told.wait()
    assert [record.message for record in caplog.records] == ["task failed", "signal handler failed"]


async def test_waiting() -> None:
    """`event` returns parameters and context of the next dispatch that fits; `*` stands for every action."""
    app, blueprint = App("a"), Blueprint("b")
    app.add_signal(None, "foo.bar.<thing>")
    blueprint.add_signal(None, "own.to.blueprint")
    app.blueprint(blueprint)
    waiting = [
        asyncio.create_task(app.event("foo.bar.*")),
        asyncio.create_task(app.event("foo.bar.two", timeout=5)),
        asyncio.create_task(app.event("foo.bar.two", condition={"x": 1})),
        asyncio.create_task(app.event("foo.bar.two", condition={"x": 1}, exclusive=False)),
        asyncio.create_task(blueprint.event("own.to.blueprint")),
        asyncio.create_task(app.event("own.to.blueprint")),
    ]
    await asyncio.sleep(0)
    await app.dispatch("foo.bar.one", context={"n": 1})
    await app.dispatch("foo.bar.two", context={"n": 2})
    assert await waiting[0] == {"thing": "one", "n": 1}
    assert await waiting[1] == {"thing": "two", "n": 2}
    assert await waiting[3] == {"thing": "two", "n": 2}
    assert not waiting[2].done()
    await app.dispatch("foo.bar.two", condition={"x": 1}, inline=True)
    assert await waiting[2] == {"thing": "two"}
    await blueprint.dispatch("own.to.blueprint")
    assert await waiting[4] == {}
    assert not waiting[5].done()
    await app.dispatch("own.to.blueprint")
    assert await waiting[5] == {}


async def test_waiting_for_a_blueprint_of_several_applications() -> None:
    """The first of them that dispatches ends it; nobody waits on."""
    first, second, blueprint = App("a"), App("b"), Blueprint("b")
    blueprint.add_signal(None, "foo.bar.baz")
    with pytest.raises(SignalNotFound, match="no application has"):
        await blueprint.event("foo.bar.baz")
    for app in (first, second):
        app.blueprint(blueprint)
    waiting = asyncio.create_task(blueprint.event("foo.bar.baz"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await second.dispatch("foo.bar.baz", context={"n": 1})
    assert await waiting == {"n": 1}
    await asyncio.sleep(0)
    assert first.signals._waiters == second.signals._waiters == {}


async def test_what_nobody_knows() -> None:
    """Unknown events: dispatching inline and waiting raise, unless asked not to; EVENT_AUTOREGISTER waits for any."""
    app, blueprint = App("a"), Blueprint("b")
    app.blueprint(blueprint)
    for attempt in (app.dispatch("no.such.event", inline=True), app.event("no.such.event"), blueprint.event("no.such.*")):
        with pytest.raises(SignalNotFound, match=r"Could not find signal no\.such"):
            await attempt
    assert await app.dispatch("no.such.event", inline=True, fail_not_found=False) is None
    app.config.EVENT_AUTOREGISTER = True
    with pytest.raises(TimeoutError):
        await app.event("no.such.event", timeout=0)
    waiting = asyncio.create_task(app.event("no.such.event"))
    await asyncio.sleep(0)
    await app.dispatch("no.such.event", inline=True, context={"n": 1})
    assert await waiting == {"n": 1}


@pytest.mark.parametrize(
    "event", ["foo.bar", "foo.<x>.bar", "<x>.foo.bar", "a.b.c.d", "foo..bar", "foo.bar.", "http.no.such", "server.init.between"]
)
def test_impossible_events(event: str) -> None:
    """Three parts, a parameter only in the last, and none that pretends to be the framework's."""
    with pytest.raises(InvalidSignal, match="event"):
        App("a").add_signal(None, event)


def test_names_without_parts() -> None:
    """A plain name is an event of its own kind; members of `Event` are events."""
    assert split_event("done") == ("__generic__", "__signal__", "done")
    assert split_event(Event.SERVER_INIT_AFTER) == ("server", "init", "after")
    assert split_event("foo.bar.<x:[a-z.]+>") == ("foo", "bar", "<x:[a-z.]+>")


async def test_server_events(caplog: pytest.LogCaptureFixture) -> None:
    """Start and end, beside the listeners; a handler that fails at the end is logged."""
    app, seen = App("a"), []
    for event in ("server.init.before", "server.init.after", "server.shutdown.before", "server.shutdown.after"):
        app.signal(event)(lambda app, loop, event=event: seen.append((event, app.name, loop is asyncio.get_running_loop())))

    @app.signal(Event.SERVER_SHUTDOWN_AFTER)
    def fails() -> None:
        raise RuntimeError("on purpose")

    async with AsyncTestClient(app):
        assert [event for event, *_ in seen] == ["server.init.before", "server.init.after"]
    assert [event for event, *_ in seen][2:] == ["server.shutdown.before"]  # in reverse: the one that fails came first
    assert {(name, same) for _, name, same in seen} == {("a", True)}
    assert [record.message for record in caplog.records] == ["signal handler failed"]


async def test_a_failure_at_the_start_stops_the_start() -> None:
    """As a listener that raises."""
    app = App("a")
    app.signal("server.init.before")(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        async with AsyncTestClient(app):
            raise AssertionError("unreachable")


def test_too_late() -> None:
    """Handlers are added before the start: who is called is settled then."""
    app = App("a")
    app.finalise()
    with pytest.raises(RuntimeError, match="before it starts"):
        app.signal("foo.bar.baz")(lambda: None)


async def test_nobody_listens() -> None:
    """Without listeners to built-in events there is nothing to call: no signals in the dispatcher, plain connections."""
    app = App("a")
    app.get("/")(lambda request: text("hello"))
    app.add_signal(None, "my.own.event")
    dispatcher = app.finalise()
    assert dispatcher.signals is None
    assert dispatcher.taps is None
    assert app.router.routes[0].call is app.router.routes[0].handler
