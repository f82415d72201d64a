"""The numbers of `make observe` in a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.observe.table import LINES, duration, picture


class Answers:
    """A Prometheus that knows one number for each service."""

    def __init__(self, **values: str | None) -> None:
        self._values = values

    async def query(self, expression: str) -> list[dict[str, Any]]:
        value = next(value for service, value in self._values.items() if f'job="{service}"' in expression)
        return [] if value is None else [{"value": [0, value]}]


async def test_it_fits_a_terminal() -> None:
    """A column for each service and a line for each number; 80 columns hold the three of them, whatever the numbers are."""
    shown = (await picture(Answers(auth="123456789.25", catalog="0.00012", feed="4"), ["auth", "catalog", "feed"])).splitlines()
    assert shown[0].split() == ["auth", "catalog", "feed"]
    assert len(shown) == 1 + len(LINES)
    assert max(map(len, shown)) <= 80
    assert next(line for line in shown if line.startswith("requests")).split() == ["requests", "123,456,789/s", "0.00/s", "4/s"]
    assert next(line for line in shown if line.startswith("95 of")).split()[4:] == ["1.23e+08", "s", "120", "µs", "4", "s"]


async def test_a_service_that_is_not_there() -> None:
    """A word in its column; without any service there are no numbers at all."""
    some = await picture(Answers(auth="1", feed="0"), ["auth", "feed"])
    assert some.splitlines()[1].strip() == "is not there"
    assert some.splitlines()[2].split() == ["workers", "ready", "1"]
    assert (await picture(Answers(auth=None), ["auth"])).splitlines()[1:] == ["is not there".rjust(22 + 13)]


async def test_what_a_service_does_not_have() -> None:
    """No websockets is a dash, no requests is zero, and no quantile of nothing is not "NaN"."""

    class Young(Answers):
        async def query(self, expression: str) -> list[dict[str, Any]]:
            value = {"up": "1", "hi": "NaN"}.get(expression[:2])
            return [{"value": [0, value]}] if value else []

    lines = {line[:22].strip(): line[22:].strip() for line in (await picture(Young(), ["auth"])).splitlines()}
    assert (lines["requests"], lines["websockets"], lines["95 of 100 within"]) == ("0/s", "-", "-")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0 µs"), (0.0000123, "12 µs"), (0.00345, "3.45 ms"), (2.5, "2.5 s"), (90.0, "90 s")]
)
def test_durations(seconds: float, text: str) -> None:
    """In the unit that fits."""
    assert duration(seconds) == text
