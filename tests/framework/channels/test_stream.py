"""Positions and extents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.channels import Extent, StreamPosition
from fairlead.channels.stream import BEGINNING

NUMBERS = st.integers(min_value=0, max_value=2**64 - 1)


@given(NUMBERS, NUMBERS)
def test_a_position_survives_its_text(ms: int, sequence: int) -> None:
    """parse(str(x)) == x."""
    position = StreamPosition(ms, sequence)
    assert StreamPosition.parse(str(position)) == position


def test_positions_compare_as_numbers() -> None:
    """ "10-0" is after "9-9": ids are not compared as texts."""
    assert StreamPosition.parse("10-0") > StreamPosition.parse("9-9")
    assert StreamPosition.parse("9-10") > StreamPosition.parse("9-9")


def test_the_sequence_may_be_left_out() -> None:
    """As in Redis, "5" is "5-0"."""
    assert StreamPosition.parse("5") == StreamPosition(5, 0)


@pytest.mark.parametrize(
    "text", ["", "-", "1-", "-1", "1-2-3", "a-1", "$", ">", "+", " 1-0", "1-0\n", "٣-0", "1.0", f"{2**64}-0", "9" * 400]
)
def test_anything_else_is_refused(text: str) -> None:
    """What a stranger sends as `?after=` never reaches the backend."""
    with pytest.raises(ValueError, match="a stream id"):
        StreamPosition.parse(text)


@pytest.mark.parametrize(
    ("extent", "position", "expected"),
    [
        pytest.param(Extent(None, BEGINNING, False), "0-0", True, id="nothing was ever there"),
        pytest.param(Extent(StreamPosition(1, 0), StreamPosition(9, 0), False), "0-0", True, id="whole stream"),
        pytest.param(Extent(StreamPosition(4, 0), StreamPosition(9, 0), True), "0-0", False, id="old end cut off"),
        pytest.param(Extent(StreamPosition(1, 0), StreamPosition(9, 0), False), "5-0", True, id="in the middle"),
        pytest.param(Extent(StreamPosition(1, 0), StreamPosition(9, 0), False), "9-0", True, id="at the end"),
        pytest.param(Extent(StreamPosition(6, 0), StreamPosition(9, 0), True), "5-0", False, id="trimmed"),
        pytest.param(Extent(StreamPosition(6, 0), StreamPosition(9, 0), False), "5-0", False, id="lost, begun anew"),
        pytest.param(Extent(StreamPosition(1, 0), StreamPosition(3, 0), False), "5-0", False, id="an older copy"),
        pytest.param(Extent(None, BEGINNING, False), "5-0", False, id="lost"),
    ],
)
def test_an_extent_knows_whether_reading_on_misses_something(extent: Extent, position: str, expected: bool) -> None:
    """A hole is noticed whether the stream was trimmed, lost, or lost and filled again (W9)."""
    assert extent.holds_all_after(StreamPosition.parse(position)) is expected
