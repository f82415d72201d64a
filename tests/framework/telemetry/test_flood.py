"""fairlead.telemetry.flood: a line that repeats itself is cut short, and counted."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from fairlead.telemetry.flood import FloodGate
from fairlead.telemetry.logging import configure


class Clock:
    """Time that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _gate(limit: int) -> tuple[FloodGate, Clock, list[tuple[str, str, int]]]:
    told: list[tuple[str, str, int]] = []
    clock = Clock()
    return FloodGate(limit, lambda *flood: told.append(flood), clock=clock), clock, told


def test_a_message_has_so_many_lines_in_a_second() -> None:
    """Beyond the limit lines are left out; the next second begins anew, with a count of what is missing."""
    gate, clock, told = _gate(3)
    assert [gate.admits("a", "again") for _ in range(5)] == [True, True, True, False, False]
    assert told == []
    clock.now += 1
    assert gate.admits("a", "again")
    assert told == [("a", "again", 2)]
    assert gate.left_out == 2


def test_messages_do_not_count_against_each_other() -> None:
    """One that floods hides no other."""
    gate, _, _ = _gate(1)
    assert gate.admits("a", "one")
    assert not gate.admits("a", "one")
    assert gate.admits("a", "two")
    assert gate.admits("b", "one")


def test_what_is_remembered_is_bounded() -> None:
    """Messages that differ each time (a value was formatted into them) share a count beyond a thousand."""
    gate, _, _ = _gate(1)
    passed = sum(gate.admits("a", f"number {number}") for number in range(5_000))
    assert passed == 1_001


def test_no_limit_lets_everything_through() -> None:
    """0 means no limit."""
    gate, _, told = _gate(0)
    assert all(gate.admits("a", "again") for _ in range(1_000))
    gate.settle()
    assert told == []


def test_a_flood_in_the_log(capfd: pytest.CaptureFixture[str], loggers: None) -> None:
    """Of both libraries' loggers a message is cut short; what is critical passes, and what is missing is told (issue 6)."""
    stream = configure(service="catalog", format="json", flood_limit=10)
    log, structured = logging.getLogger("noisy"), structlog.get_logger("noisier")
    for number in range(50):
        log.warning("attempt %d failed", number)
        structured.info("again", number=number)
    log.critical("attempt %d failed", 51)
    assert stream.flush(10)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    by_logger = [line["logger"] for line in lines]
    # a second may have begun meanwhile, and with it a new count
    assert 10 <= by_logger.count("noisier") <= 20
    assert 11 <= by_logger.count("noisy") <= 21
    told = [line for line in lines if line["event"] == "log lines were left out"]
    assert {line["of"] for line in told} == {"noisy", "noisier"}
    assert sum(line["left_out"] for line in told) + by_logger.count("noisier") + by_logger.count("noisy") == 101
    assert stream.collect()["fairlead_log_lines_left_out_total"]["series"][0][1] == sum(line["left_out"] for line in told)


def test_only_what_was_left_out_is_told() -> None:
    """At the end of a second a message that has kept to its limit is not mentioned."""
    gate, _, told = _gate(2)
    for message in ("calm", "noisy", "noisy", "noisy"):
        gate.admits("a", message)
    gate.settle()
    assert told == [("a", "noisy", 1)]
