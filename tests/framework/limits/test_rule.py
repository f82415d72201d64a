"""The arithmetic of rate limits: never more than was promised, in any stretch of time."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fairlead.limits import Decision, Rule, SlidingWindow, TokenBucket


def run(rule: Rule, times: list[float], cost: int = 1) -> list[Decision]:
    state: dict[Any, Any] = {}
    return [rule.take(state, now, cost) for now in times]


def test_sliding_window() -> None:
    """Three in ten seconds; a place is free again once the first has left the window, and what was refused doesn't count."""
    rule = SlidingWindow(3, 10)
    decisions = run(rule, [100.0, 100.0, 104.0, 105.0, 110.4, 110.5])
    assert [decision.allowed for decision in decisions] == [True, True, True, False, False, True]
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0, 0, 1]
    assert decisions[3].retry_after_s == pytest.approx(5.5)
    assert decisions[4].retry_after_s == pytest.approx(0.1)
    assert decisions[2].reset_s == pytest.approx(10.5)
    assert [decision.retry_after_s for decision in decisions if decision.allowed] == [0.0] * 4


def test_token_bucket() -> None:
    """Two a second and five at once; tokens come back one by one."""
    rule = TokenBucket(2, 1.0, burst=5)
    decisions = run(rule, [50.0] * 6 + [50.4, 50.5, 60.0])
    assert [decision.allowed for decision in decisions] == [True] * 5 + [False, False, True, True]
    assert decisions[5] == Decision(allowed=False, remaining=0, reset_s=2.5, retry_after_s=0.5)
    assert decisions[-1].remaining == 4


def test_a_bucket_without_burst() -> None:
    """It holds as many tokens as come in a window."""
    assert [decision.allowed for decision in run(TokenBucket(2, 10), [0.0, 0.0, 0.0, 5.0])] == [True, True, False, True]


@pytest.mark.parametrize("rule", [SlidingWindow(5, 10), TokenBucket(5, 10)])
def test_costs(rule: Rule) -> None:
    """A request may take more than one; one that takes more than there ever is never passes."""
    assert [decision.allowed for decision in run(rule, [0.0, 0.0, 0.0], cost=2)] == [True, True, False]
    (never,) = run(rule, [0.0], cost=6)
    assert (never.allowed, never.remaining) == (False, 5)
    assert never.retry_after_s > 0
    assert run(rule, [0.0], cost=0)[0].remaining == 5


@pytest.mark.parametrize("seed", range(20))
def test_any_window_holds_no_more_than_the_limit(seed: int) -> None:
    """The promise of the sliding window, for requests at random moments: also across every edge."""
    chance = random.Random(seed)
    limit, window_s = chance.randint(1, 30), chance.choice([0.5, 7, 60])
    times = sorted(chance.uniform(1000, 1000 + 5 * window_s) for _ in range(limit * 12))
    passed = [now for now, decision in zip(times, run(SlidingWindow(limit, window_s), times), strict=True) if decision.allowed]
    assert max(sum(start <= now < start + window_s for now in passed) for start in passed) <= limit
    assert len(passed) >= limit * 3


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", [SlidingWindow, TokenBucket])
def test_who_waits_as_told_is_let_in(kind: Any, seed: int) -> None:
    """`retry_after_s` is enough, and half of it is not."""
    chance = random.Random(seed)
    rule, state, now = kind(chance.randint(1, 9), chance.choice([1.0, 60.0])), dict[Any, Any](), 5000.0
    while (refused := rule.take(state, now, 1)).allowed:
        now += chance.uniform(0, rule.window_s / 50)
    assert not rule.take(state, now + refused.retry_after_s / 2, 1).allowed
    assert rule.take(state, now + refused.retry_after_s + 1e-6, 1).allowed


def test_a_clock_that_goes_back() -> None:
    """Nobody is let in, and nothing breaks."""
    bucket: dict[str, float] = {}
    rule = TokenBucket(1, 10)
    assert rule.take(bucket, 100.0, 1).allowed
    assert not rule.take(bucket, 50.0, 1).allowed


@pytest.mark.parametrize("make", [lambda: SlidingWindow(0, 1), lambda: SlidingWindow(1, 0), lambda: SlidingWindow(1, float("nan"))])
def test_impossible_windows(make: Any) -> None:
    """No quota, no time: refused when the limit is made."""
    with pytest.raises(ValueError, match=r"at least 1 request|positive"):
        make()


def test_impossible_bursts() -> None:
    """A bucket holds at least one."""
    with pytest.raises(ValueError, match="burst"):
        TokenBucket(1, 1, 0)
