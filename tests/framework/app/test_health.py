"""Health checks: what a probe says of a service (K1)."""

from __future__ import annotations

import asyncio

from fairlead.health import Health


async def fails() -> None:
    """Unwell."""
    raise ConnectionError("no route\nto host")


async def passes() -> None:
    """Well."""


async def hangs() -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def test_critical_and_other_checks() -> None:
    """A critical check that fails or hangs takes the service out, another one is only shown; the first line is the reason."""
    health = Health()
    health.add("database", passes)
    health.add("cache", fails, critical=False)
    assert not health.ready
    await health.run()
    assert health.ready
    assert health.report()["cache"] == {"ok": False, "critical": False, "startup": False, "error": "no route"}
    health.add("queue", hangs, timeout_s=0.01)
    await health.run()
    assert not health.ready
    assert health.report()["queue"]["error"] == "no answer within 0.01 s"


async def test_startup_checks_run_until_they_pass() -> None:
    """A start-up check is asked until it passes once, and not again."""
    health, answers = Health(), iter([ValueError("0002 is expected"), None])
    asked: list[int] = []

    async def check() -> None:
        asked.append(1)
        answer = next(answers)
        if answer is not None:
            raise answer

    health.add_startup("migrations", check)
    states = []
    for _ in range(4):
        await health.run()
        states.append((health.started, health.ready))
    assert states == [(False, False), (True, True), (True, True), (True, True)]
    assert len(asked) == 2
