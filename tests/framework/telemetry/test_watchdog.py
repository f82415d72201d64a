"""fairlead.telemetry.watchdog: a blocked loop is noticed, named and counted (T3)."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from typing import Any

import pytest

from fairlead.request import Request
from fairlead.telemetry.instruments import Registry
from fairlead.telemetry.watchdog import LAG_WINDOW_S, Watchdog

from .conftest import MakeRequest


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _value(registry: Registry, name: str) -> object:
    ((_, value),) = registry.snapshot()[name]["series"]
    return value


def _logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "fairlead.watchdog"]


async def test_a_blocking_handler_is_found(make_request: MakeRequest, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that sleeps on the loop: its stack and its request are logged once, then how long it took; both counted."""
    registry, found, recovered = Registry(), threading.Event(), asyncio.Event()
    stacks: list[str] = []

    def on_blocked(blocked_s: float, stack: str) -> None:
        stacks.append(stack)
        found.set()

    def handler_that_blocks(request: Request[Any, Any]) -> bool:
        return found.wait(20)

    class Recovery(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "event loop runs again":
                recovered.set()

    logger = logging.getLogger("fairlead.watchdog")
    logger.addHandler(recovery := Recovery())
    watchdog = Watchdog(0.05, on_blocked=on_blocked, registry=registry)
    with caplog.at_level(logging.WARNING, "fairlead.watchdog"):
        watchdog.start()
        request = make_request(headers={"X-Request-ID": "abc-1"})
        assert handler_that_blocks(request)
        await recovered.wait()
        watchdog.stop()
    logger.removeHandler(recovery)
    assert _logged(caplog) == ["event loop is blocked", "event loop runs again"]
    assert "handler_that_blocks" in stacks[0]
    record = vars(caplog.records[0])
    assert (record["request_id"], record["route"]) == ("abc-1", "/products/<id:int>")
    assert "handler_that_blocks" in record["stack"]
    assert _value(registry, "fairlead_loop_blockages_total") == 1


async def test_a_call_that_holds_the_gil_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The watchdog's thread can't run during a catastrophic regular expression: it is reported right afterwards."""
    registry = Registry()
    watchdog = Watchdog(0.05, registry=registry)
    length = 16
    with caplog.at_level(logging.WARNING, "fairlead.watchdog"):
        watchdog.start()
        while _value(registry, "fairlead_loop_blockages_total") == 0:
            length += 1
            re.match(r"(a+)+$", "a" * length + "b")
            await asyncio.sleep(0.02)
        watchdog.stop()
    assert "event loop runs again" in _logged(caplog) or "event loop is blocked" in _logged(caplog)


async def test_an_idle_loop_is_no_blocked_loop(caplog: pytest.LogCaptureFixture) -> None:
    """Waiting is what a loop is for."""
    registry = Registry()
    watchdog = Watchdog(0.2, registry=registry)
    watchdog.start()
    await asyncio.sleep(0.3)
    watchdog.stop()
    assert _value(registry, "fairlead_loop_blockages_total") == 0
    assert _logged(caplog) == []


async def test_a_blockage_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often the thread looks, one blockage is one report; the next one is a new report."""
    clock, registry = Clock(), Registry()
    watchdog = Watchdog(1.0, registry=registry, clock=clock)
    watchdog.start()
    with caplog.at_level(logging.WARNING, "fairlead.watchdog"):
        for _ in range(2):
            clock.now += 2.0
            watchdog.look()
            clock.now += 3.0
            watchdog.look()
            watchdog._tick()
    watchdog.stop()
    assert _logged(caplog) == ["event loop is blocked", "event loop runs again"] * 2
    assert _value(registry, "fairlead_loop_blockages_total") == 2
    assert _value(registry, "fairlead_loop_blocked_seconds_total") == 10.0
    assert vars(caplog.records[1])["blocked_s"] == 5.0


async def test_a_blockage_that_nobody_saw_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """When the thread had no chance to look, the late tick tells."""
    clock, registry = Clock(), Registry()
    watchdog = Watchdog(1.0, registry=registry, clock=clock)
    watchdog.start()
    with caplog.at_level(logging.WARNING, "fairlead.watchdog"):
        clock.now += 5.0
        watchdog._tick()
    watchdog.stop()
    assert _logged(caplog) == ["event loop runs again"]
    assert _value(registry, "fairlead_loop_blockages_total") == 1


async def test_the_lag_is_the_longest_of_two_windows() -> None:
    """T3, K10: every reader sees the latest tick of the last half minute, none takes it from another; and what goes on."""
    clock, registry = Clock(), Registry()
    watchdog = Watchdog(1.0, registry=registry, clock=clock)
    watchdog.start()
    clock.now += 0.75
    watchdog._tick()
    for _ in range(2):
        clock.now += 0.25
        watchdog._tick()
        assert _value(registry, "fairlead_loop_lag_seconds") == 0.5
    clock.now += 1.25
    assert _value(registry, "fairlead_loop_lag_seconds") == 1.0
    clock.now -= 1.0
    for _ in range(2 * round(LAG_WINDOW_S * 4) + 2):
        clock.now += 0.25
        watchdog._tick()
    assert _value(registry, "fairlead_loop_lag_seconds") == 0.0
    watchdog.stop()


async def test_stopping_twice_or_unstarted_is_no_error() -> None:
    """stop() can be called whatever happened before, and leaves no thread."""
    Watchdog(1.0, registry=Registry()).stop()
    watchdog = Watchdog(1.0, registry=Registry())
    watchdog.start()
    watchdog.stop()
    watchdog.stop()
    assert watchdog._thread is not None
    assert not watchdog._thread.is_alive()


async def test_a_failing_callback_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    """The next blockage is found as well."""
    failed = threading.Semaphore(0)

    def fail(blocked_s: float, stack: str) -> None:
        failed.release()
        raise RuntimeError("no")

    watchdog = Watchdog(0.05, on_blocked=fail, registry=Registry())
    with caplog.at_level(logging.WARNING, "fairlead.watchdog"):
        watchdog.start()
        for _ in range(2):
            assert failed.acquire(timeout=20)
            await asyncio.sleep(0.1)
        watchdog.stop()
    assert _logged(caplog).count("the watchdog has stumbled") == 2


def test_the_threshold_is_above_nothing() -> None:
    """A threshold of 0 would report everything."""
    with pytest.raises(ValueError, match="above 0"):
        Watchdog(0, registry=Registry())


async def test_a_thread_that_ended_has_no_stack() -> None:
    """A loop whose thread is gone is not reported: nothing can be said of it."""
    clock, registry = Clock(), Registry()
    watchdog = Watchdog(1.0, registry=registry, clock=clock)
    watchdog.start()
    watchdog._loop_thread = 1
    clock.now += time.time()
    watchdog.look()
    watchdog.stop()
    assert _value(registry, "fairlead_loop_blockages_total") == 0
