"""When a worker asks to be replaced (mission K5)."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.config import Config
from fairlead.workers.recycling import ASK_AGAIN_S, MIB, Recycling, resident_bytes


class Clock:
    """Time that the test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now_s


def make(clock: Clock, stretch: float = 1.0, **limits: Any) -> Recycling:
    """A worker's limits; each is stretched by the same factor."""
    return Recycling(Config(limits), uniform=lambda low, high: stretch, clock=clock)


def test_without_limits_it_is_off() -> None:
    """K5: by default no worker is replaced for having lived."""
    assert make(Clock()).is_off
    assert make(Clock()).due(10**9, 10**12) == ""
    assert not make(Clock(), WORKER_MAX_AGE=1).is_off


@pytest.mark.parametrize(
    ("limits", "below", "above", "cause"),
    [
        ({"WORKER_MAX_REQUESTS": 100}, (99, 0, 0.0), (100, 0, 0.0), "100 requests answered"),
        ({"WORKER_MAX_MEMORY": 200}, (0, 199 * MIB, 0.0), (0, 200 * MIB, 0.0), "200 MiB resident"),
        ({"WORKER_MAX_AGE": 3600}, (0, 0, 3599.0), (0, 0, 3600.0), "3600 s old"),
    ],
)
def test_each_limit_has_its_cause(
    limits: dict[str, Any], below: tuple[int, int, float], above: tuple[int, int, float], cause: str
) -> None:
    """K5: requests, memory, age: nothing below the limit, the cause at it."""
    clock = Clock()
    recycling = make(clock, **limits)
    for (requests, resident, age_s), expected in ((below, ""), (above, cause)):
        clock.now_s = Clock.now_s + age_s
        assert expected == recycling.due(requests, resident)


def test_a_limit_is_stretched() -> None:
    """K5: by the jitter, so that the workers of a fleet are not replaced in one moment."""
    assert make(Clock(), stretch=1.1, WORKER_MAX_REQUESTS=100).due(109, 0) == ""
    assert make(Clock(), stretch=1.1, WORKER_MAX_REQUESTS=100).due(111, 0) != ""


def test_a_wish_is_repeated_after_a_while() -> None:
    """K5: its replacement may have failed to start."""
    clock = Clock()
    recycling = make(clock, WORKER_MAX_REQUESTS=1)
    assert recycling.due(5, 0) != ""
    assert recycling.due(6, 0) == ""
    clock.now_s += ASK_AGAIN_S
    assert recycling.due(7, 0) == "7 requests answered"


def test_this_process_has_memory() -> None:
    """K5: what the limit is held against is what the kernel says."""
    assert 5 * MIB < resident_bytes() < 10_000 * MIB
