"""The alarm around a phase of a test. There is only one, so these tests run without theirs."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType

import pytest

from fairlead.testing import deadline as deadline_module
from fairlead.testing.deadline import Deadline, DeadlineExceeded, lift, running
from fairlead.testing.loop import LoopRunner

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this platform has no alarm"),
    pytest.mark.deadline(0),
]


@pytest.fixture(autouse=True)
def prompt_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the alarm follow its time at once."""
    monkeypatch.setattr(deadline_module, "ALARM_AFTER_S", 0.01)


def test_blocking_code_is_interrupted() -> None:
    """The exception rises in the blocked line, and no `except Exception` holds it."""
    with pytest.raises(DeadlineExceeded, match=r"no end within 0\.01 s"), Deadline(0.01):  # noqa: PT012
        try:
            threading.Event().wait()
        except Exception:
            raise AssertionError("swallowed") from None


def test_everything_is_as_before_afterwards() -> None:
    """A phase that ends in time leaves neither timer nor handler behind."""
    before = signal.getsignal(signal.SIGALRM)
    with Deadline(30) as deadline:
        assert running() is deadline
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        assert deadline.remaining_s is not None
        assert deadline.remaining_s <= 30
    assert running() is not deadline
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) is before


def test_no_limit() -> None:
    """None is no limit: no alarm is set."""
    with Deadline(None) as deadline:
        assert deadline.remaining_s is None
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_foreign_alarm_is_respected() -> None:
    """Someone else's alarm (pytest-timeout) is neither replaced nor stopped."""

    def theirs(signum: int, frame: FrameType | None) -> None:
        raise AssertionError("not now")

    before = signal.signal(signal.SIGALRM, theirs)
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        with Deadline(0.01):
            assert signal.getsignal(signal.SIGALRM) is theirs
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_lifted_for_a_debugger() -> None:
    """Once someone looks with a debugger, neither the alarm nor the loop's timer ends anything."""
    runner = LoopRunner()

    async def look_around() -> str:
        lift()
        await asyncio.sleep(0.05)
        return "seen"

    with Deadline(0.02):
        assert runner.call(look_around()) == "seen"
    runner.close()
