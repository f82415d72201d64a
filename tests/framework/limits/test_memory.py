"""Counters in memory are bounded whatever the clients send."""

from __future__ import annotations

import pytest

from fairlead.limits import MemoryBackend, SlidingWindow


class Clock:
    """Stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_keys_are_counted_apart() -> None:
    """One client's requests are not another's."""
    backend, rule = MemoryBackend(), SlidingWindow(1, 60)
    assert [(await backend.take(key, rule, 1)).allowed for key in ("a", "b", "a")] == [True, True, False]


async def test_what_is_idle_is_forgotten() -> None:
    """Counters go when they have nothing left to remember."""
    clock = Clock()
    backend, rule = MemoryBackend(clock=clock), SlidingWindow(5, 60)
    for key in range(100):
        await backend.take(str(key), rule, 1)
    clock.now += rule.idle_after_s
    await backend.take("new", rule, 1)
    assert len(backend) == 1


async def test_a_flood_of_keys() -> None:
    """A million addresses take no more room than `max_keys`; those that were asked for last stay."""
    backend, rule = MemoryBackend(max_keys=10), SlidingWindow(1, 60)
    for key in range(1000):
        await backend.take(str(key), rule, 1)
        assert (await backend.take("regular", rule, 1)).allowed == (key == 0)
    assert len(backend) == 10


def test_no_room() -> None:
    """A backend without a place is a mistake."""
    with pytest.raises(ValueError, match="max_keys"):
        MemoryBackend(max_keys=0)
