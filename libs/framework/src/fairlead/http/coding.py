"""Content codings: which one a client wants (Accept-Encoding, RFC 9110 §12.5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

__all__ = ["IDENTITY", "choose_coding", "parse_accept_encoding"]

IDENTITY: Final = "identity"
_ALIASES: Final = {"x-gzip": "gzip"}
MAX_ELEMENTS: Final = 32
"""More than there are codings; what stands behind is not looked at."""


@lru_cache(maxsize=256)
def parse_accept_encoding(value: str) -> dict[str, float]:
    """Coding (lower case, `*` for all others) → quality from 0 to 1. Elements that make no sense are passed over."""
    qualities: dict[str, float] = {}
    for element in value.split(",", MAX_ELEMENTS)[:MAX_ELEMENTS]:
        name, *parameters = (part.strip().lower() for part in element.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            if key.strip() == "q":
                quality = _quality(text.strip())
        if name and 0 <= quality <= 1:
            qualities.setdefault(_ALIASES.get(name, name), quality)
    return qualities


def choose_coding(value: str | None, available: Sequence[str]) -> str:
    """The coding of `available` (best first) that the client likes best, `identity` when it wants none of them.

    `value` is the client's Accept-Encoding; None, and an empty one, want none (a client that has never heard of codings).
    """
    if not value:
        return IDENTITY
    qualities = parse_accept_encoding(value)
    others = qualities.get("*", 0.0)
    best, chosen = qualities.get(IDENTITY, 0.0), IDENTITY
    for coding in available:
        quality = qualities.get(coding, others)
        if quality > 0 and (quality > best or (quality == best and chosen == IDENTITY)):
            best, chosen = quality, coding
    return chosen


def _quality(text: str) -> float:
    """A weight as RFC 9110 §12.4.2 has it: digits and one point; -1 for anything else."""
    whole, _, fraction = text.partition(".")
    if whole not in ("0", "1") or not (fraction.isdecimal() or not fraction) or len(fraction) > 3 or not text.isascii():
        return -1.0
    return float(text)
