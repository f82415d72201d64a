"""docs/reference/parity.md names every public name of Sanic, once, and what it calls the same is there (S)."""

from __future__ import annotations

import functools
import importlib
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fairlead.signals import Event
from tests.framework.parity.environment import ROOT, run, sanic_python

PAGE = ROOT / "docs" / "reference" / "parity.md"
VERDICTS = {"same", "better", "left out"}


def read_page() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Section → (our counterpart, the names with their verdicts)."""
    parts = re.split(r"^<!-- names: (\S+) of (\S+) -->$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return {section: (ours, _verdicts(text)) for section, ours, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


def _verdicts(text: str) -> list[tuple[str, str]]:
    found = [(name, "same") for line in re.findall(r"^Same: (.*)$", text, re.MULTILINE) for name in re.findall(r"`(.+?)`", line)]
    for names, verdict, why in re.findall(r"^\| (`.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE):
        assert why
        found += [(name, verdict) for name in re.findall(r"`(.+?)`", names)]
    return found


@functools.cache
def names_of_sanic() -> dict[str, list[str]]:
    """Section → names, asked of Sanic itself."""
    names: dict[str, list[str]] = json.loads(run(sanic_python(), Path(__file__).with_name("names.py")).stdout)
    return names


EXAMPLES: dict[str, tuple[Any, ...]] = {
    "App": ("parity",),
    "Blueprint": ("parity",),
    "BlueprintGroup": (),
    "Config": (),
    "ErrorHandler": (),
    "FairleadException": ("parity",),
    "HTTPResponse": (),
    "JSONResponse": ({},),
}
"""What to make an instance with, of classes some of whose names are there on instances alone."""


def offered(ours: str) -> set[str]:
    """The names that our counterpart has."""
    module, _, attribute = ours.partition(":")
    thing: Any = importlib.import_module(module)
    if attribute:
        thing = getattr(thing, attribute)
    if isinstance(thing, type) and issubclass(thing, Event):
        return set(Event)
    if isinstance(thing, dict):
        return set(thing)
    if getattr(thing, "__name__", "") in EXAMPLES:
        thing = thing(*EXAMPLES[thing.__name__])
    if isinstance(thing, ModuleType):  # names that are loaded when they are used are not in dir()
        return {name for section, (of, named) in read_page().items() if of == ours for name, _ in named if hasattr(thing, name)}
    return {*dir(thing), *getattr(thing, "__annotations__", ()), *(thing if isinstance(thing, dict) else ())}


@pytest.mark.deadline(300)
def test_every_name_is_there_once() -> None:
    """The page and Sanic have the same sections and names; a newer Sanic makes this fail until the page says what became of it."""
    sections = read_page()
    expected = names_of_sanic()
    assert set(sections) == set(expected)
    for section, (_, verdicts) in sections.items():
        named = [name for name, _ in verdicts]
        assert sorted(named) == sorted(expected[section]), section


def test_verdicts() -> None:
    """Are of three kinds, and what is the same exists."""
    missing = []
    for section, (ours, verdicts) in read_page().items():
        assert {verdict for _, verdict in verdicts} <= VERDICTS, section
        missing += [f"{ours}.{name}" for name, verdict in verdicts if verdict == "same" and name not in offered(ours)]
    assert missing == []


@pytest.mark.deadline(300)
def test_the_version_that_is_compared() -> None:
    """The page says which Sanic it is about: that of the lock."""
    locked = re.search(r"^sanic==(\d+\.\d+)", (ROOT / "requirements" / "parity.txt").read_text(), re.MULTILINE)
    assert locked is not None
    assert f"Sanic {locked[1]}" in PAGE.read_text()
