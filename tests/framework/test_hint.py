"""fairlead.hint: what somebody may have meant who has mistyped a word."""

from __future__ import annotations

import pytest

from fairlead.hint import HINTS, did_you_mean, meant


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("sevre", "; did you mean 'serve'?"),
        ("SERVE", "; did you mean 'serve'?"),
        ("sta", "; did you mean 'start' or 'status'?"),
        ("--sevre", "; did you mean 'serve'?"),
        ("xyz", ""),
        ("", ""),
    ],
)
def test_the_nearest_words_come_first(word: str, hint: str) -> None:
    """Upper and lower case don't matter; a word that is like none gets no hint."""
    assert did_you_mean(word, ["serve", "status", "start", "healthcheck"]) == hint


def test_no_more_than_a_few() -> None:
    """Whoever is offered everything is told nothing."""
    assert did_you_mean("worker", [f"worker{number}" for number in range(9)]).count("worker") == HINTS
    assert meant([]) == ""
