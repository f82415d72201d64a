"""fairlead.telemetry.inspection: what a process is doing."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from fairlead.telemetry import inspection
from fairlead.telemetry.inspection import InspectionFailed, dump, profile


async def test_threads_and_tasks() -> None:
    """Each thread by its name with its stack, each task by its name with the line that it waits in."""
    done, waiting = threading.Event(), asyncio.Event()

    async def wait_for_it() -> None:
        await waiting.wait()

    thread = threading.Thread(target=done.wait, name="somebody")
    thread.start()
    task = asyncio.create_task(wait_for_it(), name="patient")
    await asyncio.sleep(0)
    shown = dump()
    done.set()
    waiting.set()
    await task
    thread.join()
    assert "thread somebody\n" in shown
    assert "task 'patient': test_threads_and_tasks.<locals>.wait_for_it" in shown
    assert "await waiting.wait()" in shown


@pytest.mark.parametrize("seconds", [0.0, -1.0, 61.0])
async def test_a_profile_has_an_end(seconds: float) -> None:
    """Nobody profiles for ever, by mistake or otherwise."""
    with pytest.raises(InspectionFailed, match="60 seconds"):
        await profile(seconds)


async def test_one_profile_at_a_time() -> None:
    """A second one is refused, and the first is not disturbed."""
    first = asyncio.create_task(profile(0.2))
    await asyncio.sleep(0)
    with pytest.raises(InspectionFailed, match="already"):
        await profile(0.1)
    assert "Recorded" in await first
    assert "<html" in await profile(0.01, "html")


async def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer names what to install."""
    monkeypatch.setitem(sys.modules, "pyinstrument", None)
    with pytest.raises(InspectionFailed, match=r"fairlead\[profiling\]"):
        await profile(0.1)


async def test_a_dump_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with very many tasks does not fill the control channel."""
    monkeypatch.setattr(inspection, "MAX_TEXT_BYTES", 100)
    assert len(dump()) < 200


async def test_a_failure_is_an_answer() -> None:
    """What the control channel asks for comes back as a text, or as the reason why there is none."""
    problem, shown = await inspection.inspect(0)
    assert (problem, "thread MainThread\n" in shown) == ("", True)
    problem, shown = await inspection.inspect(61.0)
    assert ("60 seconds" in problem, shown) == (True, "")


async def test_a_deep_wait_is_shown_from_its_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that waits through very many frames shows the outermost ones, and ends the dump for nobody."""
    monkeypatch.setattr(inspection, "MAX_FRAMES", 2)
    waiting = asyncio.Event()

    async def descend(depth: int) -> None:
        if depth:
            await descend(depth - 1)
        else:
            await waiting.wait()

    task = asyncio.create_task(descend(5), name="deep")
    await asyncio.sleep(0)
    shown = dump()
    waiting.set()
    await task
    assert "\ntask 'deep'" in shown
    assert shown.count("await descend(depth - 1)") == 2
    assert "await waiting.wait()" not in shown
