"""Every way in which a value can be at odds with a JSON schema, made from the schema itself.

How this works. `faults` walks a schema and yields, for each rule that it finds, values that break this one rule, the place
that a message has to name, and the words that say what to write instead: the type that is wanted, the words to choose from,
the limit. A regular expression tells a reader little, so each pattern has to carry its hint as the name of a group, which
Helm shows as part of the pattern. A keyword that this file does not know is an error: no rule goes untested.

Helm reports everything that is wrong at once. `batches` puts faults together that do not get in each other's way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .helm import merged

Schema = dict[str, Any]
Path = tuple[str, ...]

ENTRY = "ENTRY"
"""A key for a map that is free to have any."""

UNKNOWN = "unknown"

NO_PATTERN_HAS_IT = "† no"

SILENT = {"$schema", "title", "description", "definitions", "properties"}
"""Keywords that forbid nothing by themselves."""

OF_TYPE: dict[str, Any] = {"string": "seven", "number": 7.5, "array": [1]}
"""A value of each of these types: at least one is wrong wherever a type is asked for."""


@dataclass(frozen=True)
class Fault:
    """Values that break one rule."""

    path: Path
    """Where the wrong value is; `[]` is the first place of a list."""
    value: Any
    place: Path
    """What the message names: the path, or the map around it."""
    words: tuple[str, ...]
    """Each of them has to be in the message."""

    @property
    def name(self) -> str:
        return f"{'.'.join(self.path)}={self.value!r}"[:80]

    @property
    def values(self) -> dict[str, Any]:
        """As somebody would write them."""
        value = self.value
        for key in reversed(self.path):
            value = [value] if key == "[]" else {key: value}
        assert isinstance(value, dict)
        return value

    def disturbs(self, other: Fault) -> bool:
        """Whether one of the two would hide the other."""
        mine, theirs = (list(fault.path[: _before_list(fault.path)]) for fault in (self, other))
        shorter = min(len(mine), len(theirs))
        return mine[:shorter] == theirs[:shorter]


def _before_list(path: Path) -> int:
    return path.index("[]") if "[]" in path else len(path)


def batches(found: Iterable[Fault]) -> list[list[Fault]]:
    """The faults in as few groups as need be."""
    groups: list[list[Fault]] = []
    for fault in found:
        for group in groups:
            if not any(fault.disturbs(other) for other in group):
                group.append(fault)
                break
        else:
            groups.append([fault])
    return groups


def together(group: Iterable[Fault]) -> dict[str, Any]:
    """The values of all of them."""
    return merged(*(fault.values for fault in group))


def faults(schema: Schema) -> Iterator[Fault]:
    """Every rule of a whole schema, broken."""
    return _walk(schema, schema, ())


def _walk(root: Schema, schema: Schema, path: Path) -> Iterator[Fault]:
    if "$ref" in schema:
        assert set(schema) == {"$ref"}, path
        schema = root["definitions"][schema["$ref"].rpartition("/")[2]]
    for keyword, rule in schema.items():
        if keyword not in SILENT:
            yield from _RULES[keyword](root, schema, rule, path)
    for name, below in schema.get("properties", {}).items():
        yield from _walk(root, below, (*path, name))


def _type(root: Schema, schema: Schema, rule: Any, path: Path) -> Iterator[Fault]:
    wanted = [rule] if isinstance(rule, str) else rule
    wrong = next(value for name, value in OF_TYPE.items() if name not in wanted)
    if path and wanted != ["null"]:
        yield Fault(path, wrong, path, tuple(name for name in wanted if name != "null"))


def _enum(root: Schema, schema: Schema, rule: list[str], path: Path) -> Iterator[Fault]:
    yield Fault(path, "Perhaps", path, tuple(rule))


def _minimum(root: Schema, schema: Schema, rule: int, path: Path) -> Iterator[Fault]:
    yield Fault(path, rule - 1, path, (str(rule),))


def _maximum(root: Schema, schema: Schema, rule: int, path: Path) -> Iterator[Fault]:
    yield Fault(path, rule + 1, path, (str(rule),))


def _exclusive(root: Schema, schema: Schema, rule: int, path: Path) -> Iterator[Fault]:
    yield Fault(path, rule, path, (str(rule),))


def _pattern(root: Schema, schema: Schema, rule: str, path: Path) -> Iterator[Fault]:
    yield Fault(path, NO_PATTERN_HAS_IT, path, (_hint(rule),))


def _hint(pattern: str) -> str:
    named = re.match(r"\^\(\?<(\w{10,})>", pattern)
    assert named, f"{pattern} does not say in words what it takes"
    return named[1]


def _property_names(root: Schema, schema: Schema, rule: Schema, path: Path) -> Iterator[Fault]:
    assert set(rule) == {"pattern"}, path
    yield Fault((*path, NO_PATTERN_HAS_IT), "x", (), (_hint(rule["pattern"]),))


def _max_length(root: Schema, schema: Schema, rule: int, path: Path) -> Iterator[Fault]:
    yield Fault(path, "a" * (rule + 1), path, (str(rule),))


def _min_length(root: Schema, schema: Schema, rule: int, path: Path) -> Iterator[Fault]:
    yield Fault(path, "", path, (str(rule),))


def _min_items(root: Schema, schema: Schema, rule: int, path: Path) -> Iterator[Fault]:
    yield Fault(path, [], path, (str(rule),))


def _unique_items(root: Schema, schema: Schema, rule: bool, path: Path) -> Iterator[Fault]:
    yield Fault(path, ["same", "same"], path, ("equal|unique",))


def _min_properties(root: Schema, schema: Schema, rule: int, path: Path) -> Iterator[Fault]:
    yield Fault(path, {}, path, (str(rule),))


def _required(root: Schema, schema: Schema, rule: list[str], path: Path) -> Iterator[Fault]:
    """Where there is a default, null takes it away; an entry of one's own has none."""
    if ENTRY in path:
        yield Fault(path, {}, path, tuple(rule))
    else:
        yield from (Fault((*path, name), None, path, (name,)) for name in rule)


def _items(root: Schema, schema: Schema, rule: Schema, path: Path) -> Iterator[Fault]:
    yield from _walk(root, rule, (*path, "[]"))


def _additional(root: Schema, schema: Schema, rule: Any, path: Path) -> Iterator[Fault]:
    if rule is False:
        yield Fault((*path, UNKNOWN), 1, path, (UNKNOWN,))
    else:
        yield from _walk(root, rule, (*path, ENTRY))


_RULES: dict[str, Any] = {
    "additionalProperties": _additional,
    "enum": _enum,
    "exclusiveMaximum": _exclusive,
    "exclusiveMinimum": _exclusive,
    "items": _items,
    "maxLength": _max_length,
    "maximum": _maximum,
    "minItems": _min_items,
    "minLength": _min_length,
    "minProperties": _min_properties,
    "minimum": _minimum,
    "pattern": _pattern,
    "propertyNames": _property_names,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique_items,
}
