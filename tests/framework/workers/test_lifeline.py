"""The thread that ends a worker which cannot end itself (mission K3)."""

from __future__ import annotations

import threading
import time

from fairlead.workers.lifeline import Lifeline


def test_nothing_happens_while_the_supervisor_lives() -> None:
    """K3: no supervisor gone, no exit asked for."""
    left: list[int] = []
    assert not Lifeline(42, 0.0, leave=left.append, parent=lambda: 42).look()
    assert left == []


def test_when_the_supervisor_is_gone_the_loop_gets_its_time_first() -> None:
    """K3: a worker may finish what it has; only past the grace is it ended, with a status that says so."""
    left: list[int] = []
    patient = Lifeline(42, 3600.0, leave=left.append, parent=lambda: 1)
    assert not patient.look()
    assert not patient.look()
    assert left == []
    assert Lifeline(42, 0.0, leave=left.append, parent=lambda: 1).look()
    assert left == [1]


def test_the_earliest_moment_counts() -> None:
    """K2: a worker that is done early is not kept until the deadline by a thread that never ends."""
    left: list[int] = []
    lifeline = Lifeline(42, 0.0, leave=left.append, parent=lambda: 42)
    lifeline.leave_by(time.monotonic() + 3600, 5)
    assert not lifeline.look()
    lifeline.leave_by(time.monotonic(), 0)
    lifeline.leave_by(time.monotonic() + 3600, 7)
    assert lifeline.look()
    assert left == [0]


def test_it_watches_from_its_own_thread() -> None:
    """K3: started, it needs nobody's help."""
    done = threading.Event()
    names: list[str] = []

    def leave(status: int) -> None:
        names.append(threading.current_thread().name)
        done.set()

    Lifeline(42, 0.0, leave=leave, parent=lambda: 1).start()
    done.wait()
    assert names == ["fairlead-lifeline"]
