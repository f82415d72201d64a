"""When a worker is replaced, and when that is given up (mission K3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.workers.deaths import CRASH_LOOP_DEATHS, HEALTHY_AFTER_S, LONGEST_DELAY_S, Deaths


def test_the_first_replacement_comes_at_once_and_each_further_one_later() -> None:
    """K3: 0, then 0.5 s doubled each time, up to 30 s."""
    deaths = Deaths(limit=100)
    delays = [deaths.record(0) for _ in range(10)]
    assert delays == [0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_five_deaths_in_a_row_are_a_crash_loop() -> None:
    """K3: the fifth death without ten healthy seconds between."""
    deaths = Deaths()
    verdicts = []
    for _ in range(5):
        deaths.record(HEALTHY_AFTER_S - 0.1)
        verdicts.append(deaths.are_a_crash_loop)
    assert verdicts == [False, False, False, False, True]


def test_ten_healthy_seconds_begin_a_new_row() -> None:
    """K3: a worker that dies once an hour is no crash loop, however often it does."""
    deaths = Deaths()
    for _ in range(20):
        assert deaths.record(HEALTHY_AFTER_S) == 0
    assert not deaths.are_a_crash_loop
    assert deaths.record(0) == 0.5


@given(st.lists(st.floats(0, 60), max_size=40))
def test_delays_are_bounded_and_the_verdict_follows_the_row(healths: list[float]) -> None:
    """K3: whatever the history, delays stay in bounds, and the verdict depends on the present row alone."""
    deaths = Deaths()
    row = 0
    for healthy_s in healths:
        row = 1 if healthy_s >= HEALTHY_AFTER_S else row + 1
        assert 0 <= deaths.record(healthy_s) <= LONGEST_DELAY_S
        assert deaths.are_a_crash_loop == (row >= CRASH_LOOP_DEATHS)
