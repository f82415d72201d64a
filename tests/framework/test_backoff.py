"""The delays between attempts."""

from fairlead.backoff import Backoff, unscattered


def test_delays_double_up_to_the_cap() -> None:
    """Each delay is at most twice the one before and never above the cap."""
    backoff = Backoff(0.1, 0.5, uniform=unscattered)
    assert [backoff.next_s() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_delays_are_scattered_but_never_zero() -> None:
    """A delay is drawn from the upper half of its range."""
    ranges: list[tuple[float, float]] = []

    def note(low: float, high: float) -> float:
        ranges.append((low, high))
        return low

    backoff = Backoff(0.2, 1.0, uniform=note)
    backoff.next_s()
    backoff.next_s()
    assert ranges == [(0.1, 0.2), (0.2, 0.4)]


def test_a_success_begins_again() -> None:
    """After `reset` the next delay is the first one."""
    backoff = Backoff(0.1, 0.5, uniform=unscattered)
    backoff.next_s()
    backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 0.1
