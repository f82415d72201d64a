"""What a resuming client is given."""

from fairlead.channels import History, Publication, StreamPosition
from fairlead.channels.stream import BEGINNING


def at(number: int) -> StreamPosition:
    return StreamPosition(number, 0)


def after(history: History, position: StreamPosition) -> list[str] | None:
    missed = history.after(position)
    return None if missed is None else [str(message) for message in missed]


def filled(size: int, count: int) -> History:
    history = History(size)
    history.restart(BEGINNING)
    for number in range(1, count + 1):
        history.add(at(number), Publication(f"m{number}", at(number)))
    return history


def test_messages_after_a_position_in_order() -> None:
    """A client gets what it has not seen, oldest first, and nothing when it has seen everything (W9)."""
    history = filled(10, 4)
    assert after(history, at(2)) == ["m3", "m4"]
    assert after(history, at(4)) == []
    assert after(history, BEGINNING) == ["m1", "m2", "m3", "m4"]


def test_a_position_between_entries_is_fine() -> None:
    """An id whose own entry was left out still has a place in the order."""
    history = filled(10, 4)
    assert after(history, StreamPosition(2, 7)) == ["m3", "m4"]


def test_it_forgets_the_oldest() -> None:
    """Beyond `size` messages, a position before the oldest that is kept is not answered with a part."""
    history = filled(3, 5)
    assert len(history) == 3
    assert after(history, at(2)) == ["m3", "m4", "m5"]
    assert after(history, at(1)) is None
    assert after(history, BEGINNING) is None


def test_a_position_from_the_future_is_unknown() -> None:
    """The id of another life of the stream is not taken for "up to date"."""
    assert after(filled(3, 2), at(9)) is None


def test_before_the_start_nothing_is_known() -> None:
    """Until the reader has found its place, a resume can't be answered."""
    history = History(3)
    assert not history.is_started
    assert after(history, BEGINNING) is None


def test_a_restart_forgets_and_begins_at_the_floor() -> None:
    """After a hole, only positions from the floor on are answered."""
    history = filled(10, 4)
    history.restart(at(20))
    assert history.is_started
    assert history.last == at(20)
    assert after(history, at(4)) is None
    history.add(at(21), Publication("m21", at(21)))
    assert after(history, at(20)) == ["m21"]


def test_the_newest() -> None:
    """For who joins and wants to see what was said last: at most so many, oldest first."""
    history = filled(3, 5)
    assert [str(message) for message in history.newest(2)] == ["m4", "m5"]
    assert len(history.newest(9)) == 3
    assert history.newest(0) == []
