"""Path patterns: `/users/<id:int>/files/<name:path>`.

A pattern is a list of segments, each a literal or one parameter. A parameter has a *type* that checks and converts the decoded
text; the types and their names are Sanic's. Anything that is no type's name is a regular expression.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote, unquote_to_bytes

Convert = Callable[[str], Any]


def _matching(pattern: str, convert: Convert = str) -> Convert:
    match = re.compile(pattern).fullmatch

    def check(text: str) -> Any:
        if match(text) is None:
            raise ValueError(text)
        return convert(text)

    return check


def _non_empty(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def _int(text: str) -> int:
    """Plain decimal digits: `int()` alone takes spaces, underscores, plus signs and digits of other scripts as well."""
    if not (text.isascii() and (text.isdecimal() or text.removeprefix("-").isdecimal()) and len(text) <= 4000):
        raise ValueError(text)
    return int(text)


def _uuid(text: str) -> uuid.UUID:
    if len(text) != 36:
        raise ValueError(text)
    return uuid.UUID(text)


@dataclass(frozen=True, slots=True)
class ParameterType:
    """How a parameter's text becomes a value; `convert` raises ValueError where it doesn't fit. Lower `rank` is tried first."""

    label: str
    convert: Convert
    rank: int


class PatternTypes:
    """The parameter types that an application knows by name."""

    def __init__(self) -> None:
        self._types: dict[str, ParameterType] = {}
        known: list[tuple[str, Convert]] = [
            ("int", _int),
            ("float", _matching(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", float)),
            ("ymd", _matching(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", date.fromisoformat)),
            ("uuid", _uuid),
            ("alpha", _matching(r"[A-Za-z]+")),
            ("slug", _matching(r"[a-z0-9]+(?:-[a-z0-9]+)*")),
            ("str", _non_empty),
            ("strorempty", str),
            ("path", _non_empty),
        ]
        for rank, (label, convert) in enumerate(known):
            self._types[label] = ParameterType(label, convert, rank * 10)

    def register(self, label: str, convert: Convert, pattern: str) -> None:
        """Add a type: text that matches `pattern` goes through `convert`. Raises ValueError for a label that is taken."""
        if label in self._types:
            raise ValueError(f"the parameter type {label!r} exists already")
        self._types[label] = ParameterType(label, _matching(pattern, convert), 45)

    def known(self, label: str) -> ParameterType:
        """The type of a name. Raises ValueError for what is none."""
        try:
            return self._types[label]
        except KeyError:
            raise ValueError(f"{label!r} is no parameter type") from None

    def find(self, label: str, name: str) -> ParameterType:
        """The type of a label; a label that is no known type is a regular expression."""
        known = self._types.get(label)
        if known is not None:
            return known
        try:
            compiled = re.compile(label)
        except re.error as exc:
            raise ValueError(f"<{name}:{label}> is neither a known parameter type nor a regular expression: {exc}") from None
        return ParameterType(label, _capturing(compiled, name), 55)


def _capturing(compiled: re.Pattern[str], name: str) -> Convert:
    group: str | int = name if name in compiled.groupindex else min(compiled.groups, 1)

    def check(text: str) -> str:
        found = compiled.fullmatch(text)
        if found is None:
            raise ValueError(text)
        return str(found[group])

    return check


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a pattern."""

    name: str
    type: ParameterType
    names: tuple[str, ...]
    """What its value is called; two names for a file and its extension, whose value is a pair."""

    def read(self, segment: bytes) -> Any:
        """The value of a percent-encoded segment. Raises ValueError when it doesn't fit, also when it is no UTF-8."""
        if b"%" in segment:
            segment = unquote_to_bytes(segment)
        return self.type.convert(segment.decode())


Segment = bytes | Parameter

_LITERAL_SAFE = "!$&'()*+,;=:@%"
_SEGMENT = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)(?:=([a-z]+))?(?::(.+))?>").fullmatch
_EXTENSION = re.compile(r"ext(?:=([A-Za-z0-9.|]+))?").fullmatch
_WORD = re.compile(r"[A-Za-z0-9]+").fullmatch


def split_pattern(path: str) -> list[str]:
    """Cut at slashes that are outside of `<…>`; the leading slash is gone."""
    segments, depth, current = [], 0, ""
    for character in path.removeprefix("/"):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "/" and depth == 0:
            segments.append(current)
            current = ""
        else:
            current += character
    if depth:
        raise ValueError(f"unbalanced angle brackets in the path {path!r}")
    return [*segments, current]


def _parameter(found: re.Match[str], types: PatternTypes) -> Parameter:
    """`<name>`, `<name:type>`, `<name:ext>`, `<name=type:ext=jpg|png>`."""
    name, of_name, label = found[1], found[2], found[3] or "str"
    extension = _EXTENSION(label)
    if extension is not None:
        stem = types.known(of_name or "str")
        if stem.label == "path":
            raise ValueError(f"{found[0]}: a file with an extension is no path")
        return Parameter(name, _with_extension(stem, extension[1]), (name, "ext"))
    if of_name is not None:
        raise ValueError(f"{found[0]}: a type stands before an extension only, as in <{name}={of_name}:ext>")
    return Parameter(name, types.find(label, name), (name,))


def _with_extension(stem: ParameterType, known: str | None) -> ParameterType:
    """A type whose value is a pair: what stands before the extension, and the extension without its dot."""
    endings = sorted(known.split("|"), key=len, reverse=True) if known else []

    def split(text: str) -> tuple[Any, str]:
        for ending in endings:
            if text.endswith(f".{ending}"):
                return stem.convert(text[: -len(ending) - 1]), ending
        name, dot, ending = text.rpartition(".")
        if endings or not dot or _WORD(ending) is None:
            raise ValueError(text)
        return stem.convert(name), ending

    return ParameterType(f"{stem.label}:ext={known or ''}", split, 42)


def parse_pattern(path: str, types: PatternTypes) -> list[Segment]:
    """The segments of a path. Raises ValueError for a path that makes no sense."""
    if not path.startswith("/"):
        raise ValueError(f"the path {path!r} must begin with a slash")
    segments: list[Segment] = []
    names: set[str] = set()
    for text in split_pattern(path):
        found = _SEGMENT(text)
        if found is None:
            if "<" in text:
                raise ValueError(f"in {path!r} a parameter must fill the whole segment")
            segments.append(quote(text, safe=_LITERAL_SAFE).encode())
            continue
        parameter = _parameter(found, types)
        for name in parameter.names:
            if name in names:
                raise ValueError(f"the parameter {name!r} appears twice in {path!r}")
            names.add(name)
        segments.append(parameter)
    for segment in segments[:-1]:
        if isinstance(segment, Parameter) and segment.type.label == "path":
            raise ValueError(f"in {path!r} a parameter of type path can only stand last")
    return segments


def begins_with(path: list[bytes], prefix: list[Segment]) -> bool:
    """Whether a path, cut at its slashes, begins with the segments of a pattern."""
    if len(path) < len(prefix):
        return False
    for text, segment in zip(path, prefix, strict=False):
        if isinstance(segment, bytes):
            if text != segment:
                return False
            continue
        try:
            segment.read(text)
        except ValueError:
            return False
    return True
