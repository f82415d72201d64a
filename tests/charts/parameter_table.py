"""The README's table of values, made from the comments in values.yaml: a value can't be added without its sentence.

A key with a comment right above it is a parameter, whatever lies below it is its default; a key without one is a group.
Run as a program (`make chart-docs`) it writes the table into the README; a test holds the two together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from .helm import CHART

BEGIN, END = "<!-- parameters: written by `make chart-docs` -->\n", "<!-- end of parameters -->\n"

KEY = re.compile(r"^(?P<indent> *)(?P<name>[\w./-]+):")


@dataclass(frozen=True)
class Parameter:
    """One value: where it is, what it is without being set, what it does."""

    path: tuple[str, ...]
    default: Any
    text: str

    @property
    def name(self) -> str:
        return ".".join(self.path)


def parameters() -> list[Parameter]:
    """Every parameter, in the file's order."""
    text = (CHART / "values.yaml").read_text()
    defaults = yaml.safe_load(text)
    return [Parameter(path, _at(defaults, path), comment) for path, comment in _documented(text)]


def _documented(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Paths and comments of the documented keys; what lies below a documented key is skipped."""
    groups: list[tuple[int, str]] = []
    comment: list[str] = []
    inside: int | None = None
    for line in text.splitlines():
        key = KEY.match(line)
        if line.lstrip().startswith("#"):
            comment.append(line.strip("# "))
        elif key and not (inside is not None and len(key["indent"]) > inside):
            indent = len(key["indent"])
            groups = [*(group for group in groups if group[0] < indent), (indent, key["name"])]
            inside = indent if comment else None
            if comment:
                yield tuple(name for _, name in groups), " ".join(comment)
            comment = []
        else:
            comment = []


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values


def table() -> str:
    """The table in Markdown."""
    rows = [f"| `{item.name}` | {item.text} | `{json.dumps(item.default)}` |" for item in parameters()]
    return "\n".join(["| value | what it does | default |", "|---|---|---|", *rows]) + "\n"


def with_table(readme: str) -> str:
    """The README's text with a fresh table between the two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, mark, after = rest.partition(END)
    assert mark, f"the README has no {BEGIN.strip()} … {END.strip()}"
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    file = CHART / "README.md"
    file.write_text(with_table(file.read_text()))
