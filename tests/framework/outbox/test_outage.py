"""An outage: growing delays, one line when it begins, one when it is over."""

from __future__ import annotations

import logging

import pytest

from fairlead.outbox.outage import FIRST_DELAY_S, LONGEST_DELAY_S, Outage

logger = logging.getLogger("fairlead.test")


def test_delays_grow_to_a_limit_and_start_again_after_a_success() -> None:
    """Each delay is drawn from the upper half of a range that doubles up to the limit."""
    outage = Outage("work", logger)
    delays = [outage.failed(OSError(), is_expected=True) for _ in range(10)]
    limits = [min(FIRST_DELAY_S * 2**number, LONGEST_DELAY_S) for number in range(10)]
    assert all(limit / 2 <= delay <= limit for delay, limit in zip(delays, limits, strict=True))
    assert outage.attempts == 10
    outage.over()
    assert outage.attempts == 0
    assert outage.failed(OSError(), is_expected=True) <= FIRST_DELAY_S


def test_one_line_for_each_end(caplog: pytest.LogCaptureFixture) -> None:
    """However many attempts fail: a warning with the cause, and a line with their number when it is over."""
    caplog.set_level(logging.INFO, logger.name)
    outage = Outage("work", logger)
    outage.over()
    error = ConnectionError("refused")
    error.__cause__ = OSError("no route")
    for _ in range(3):
        outage.failed(error, is_expected=True)
    outage.over()
    outage.over()
    warning, line = caplog.records
    assert warning.getMessage() == "work interrupted: ConnectionError: refused (OSError: no route)"
    assert warning.exc_info is None
    assert line.getMessage().startswith("work resumed after 0.0 s, 3 attempts")


def test_what_nobody_expected_is_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in the program can be found from the log."""
    outage = Outage("work", logger)
    outage.failed(KeyError("x"), is_expected=False)
    assert caplog.records[0].exc_info is not None
