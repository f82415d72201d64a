"""Listeners: their order, their arguments, and what becomes of their failures (S)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.lifecycle import EVENTS, STOP_EVENTS, Lifecycle

APP = object()


def notes(seen: list[str], name: str) -> Callable[[Any], None]:
    """A listener that leaves its name."""
    return lambda app: seen.append(name)


@pytest.mark.parametrize("event", EVENTS)
async def test_order(event: str) -> None:
    """As registered at the start, in reverse at the end; a higher priority first in both."""
    lifecycle, seen = Lifecycle(), []
    for name, priority in (("a", 0), ("b", 0), ("urgent", 5), ("late", -1)):
        lifecycle.add(event, notes(seen, name), priority)
    await lifecycle.run(event, APP)
    assert seen == (["urgent", "b", "a", "late"] if event in STOP_EVENTS else ["urgent", "a", "b", "late"])


async def test_arguments() -> None:
    """A listener takes the app, or the app and the loop when it must be given one; plain or async."""
    lifecycle, seen = Lifecycle(), []

    async def with_loop(app: Any, loop: Any) -> None:
        seen.append((app, loop))

    def with_default(app: Any, name: str = "own") -> None:
        seen.append((app, name))

    lifecycle.add("before_server_start", with_loop)
    lifecycle.add("before_server_start", with_default)
    lifecycle.add("before_server_start", lambda *arguments: seen.append(arguments))
    await lifecycle.run("before_server_start", APP)
    assert seen == [(APP, asyncio.get_running_loop()), (APP, "own"), (APP,)]


async def test_failure_at_the_start_stops_the_start() -> None:
    """A listener that raises before the server listens raises through, and those after it don't run."""
    lifecycle, seen = Lifecycle(), []
    lifecycle.add("before_server_start", lambda app: 1 // 0)
    lifecycle.add("before_server_start", notes(seen, "never"))
    with pytest.raises(ZeroDivisionError):
        await lifecycle.run("before_server_start", APP)
    assert seen == []


async def test_failure_at_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A listener that raises at the end is logged by its name, and the others still run."""
    lifecycle, seen = Lifecycle(), []

    async def fails(app: Any) -> None:
        raise RuntimeError("on purpose")

    lifecycle.add("after_server_stop", notes(seen, "still"))
    lifecycle.add("after_server_stop", functools.partial(fails))
    lifecycle.add("after_server_stop", fails)
    await lifecycle.run("after_server_stop", APP)
    assert seen == ["still"]
    named = [record.listener for record in caplog.records]  # type: ignore[attr-defined]
    assert named[0].endswith("test_failure_at_the_end_is_logged.<locals>.fails")
    assert "functools.partial" in named[1]


def test_events_that_do_not_exist() -> None:
    """A misspelt event is an error that lists the right ones."""
    with pytest.raises(ValueError, match="before_server_start"):
        Lifecycle().add("before_lunch", lambda app: None)
