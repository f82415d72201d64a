"""A word that somebody has mistyped: what they may have meant."""

from __future__ import annotations

from collections.abc import Iterable

HINTS = 3
LIKENESS = 0.6
"""Of 1: so many of both words' letters are in the same order. The dashes before options don't count."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: `; did you mean 'serve'?`, with the nearest of `known` first; "" when none is near."""
    from difflib import get_close_matches  # for those who err

    names = {name.lstrip("-"): name for name in known}
    return meant([names[name] for name in get_close_matches(word.lstrip("-").lower(), names, HINTS, LIKENESS)])


def meant(names: list[str]) -> str:
    """The same for names that are known to be meant."""
    return f"; did you mean {' or '.join(map(repr, names))}?" if names else ""
