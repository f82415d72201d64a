"""docs/reference/metrics.md, read as what it promises."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.observe.prometheus import ROOT

PAGE = ROOT / "docs" / "reference" / "metrics.md"


class Promise(NamedTuple):
    """A line of the page: one family of `/metrics`."""

    kind: str
    labels: frozenset[str]
    panels: frozenset[str]
    """Titles of the dashboard's panels that show it."""


def promises() -> dict[str, Promise]:
    """The families by name."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and (name := re.fullmatch(r"`(\w+)`", cells[0])):
            labels = frozenset(re.findall(r"`(\w+)`", cells[2]))
            found[name[1]] = Promise(cells[1], labels, frozenset(filter(None, cells[5].split(", "))))
    return found


def families_read(expression: str, known: frozenset[str]) -> set[str]:
    """The families that a query reads; the series of a histogram or a summary by the name of the family."""
    names = re.findall(r"(\w+)\{", expression)
    return {name if name in known else re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
