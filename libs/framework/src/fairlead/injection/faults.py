"""Everything that is wrong with a value, not only the first thing.

msgspec stops at the first error, which is why it is fast. Once it has found one, the request is lost and time matters less: the
value is walked beside its type, and each part is converted on its own. Where a part of a part is wrong, only that is reported.

The walk is bounded, since the peer decides what is wrong: `MAX_FAULTS` reports, `MAX_STEPS` parts looked at, `MAX_DEPTH` levels
(each level converts what is below it once more). What lies beyond is covered by msgspec's own first error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

import msgspec

from fairlead.injection.records import bare, fields_of, is_record, members_of

MAX_FAULTS = 100
MAX_STEPS = 10_000
MAX_DEPTH = 16

Fault = tuple[str, str]
"""(path below the source, such as ".price.amount" or ".tags[1]"; message)"""

_AT_PATH = re.compile(r"(.*) - at `(?:key` in `)?\$(.*)`", re.DOTALL).fullmatch
_LISTS = (list, set, frozenset, tuple)


def first_fault(error: msgspec.ValidationError) -> Fault:
    """msgspec's words: "Expected `int`, got `str` - at `$.price.amount`"."""
    found = _AT_PATH(str(error))
    return (found[2], found[1]) if found is not None else ("", str(error))


def all_faults(value: Any, kind: Any, error: msgspec.ValidationError, convert: Callable[[Any, Any], Any]) -> list[Fault]:
    """What is wrong with `value`, of which `error` is the first. `convert(value, kind)` raises `msgspec.ValidationError`."""
    first = first_fault(error)
    found = list(_Walk(convert).below(value, kind, first, "", 0))
    if first not in found:  # the first was found by a decoder, which sees more than a conversion of what was decoded
        places = [place for place, _ in found]
        if first[0] in places:
            found[places.index(first[0])] = first
    return found


class _Walk:
    def __init__(self, convert: Callable[[Any, Any], Any]) -> None:
        self._convert = convert
        self._steps = 0
        self._faults = 0

    def below(self, value: Any, kind: Any, error: Fault, path: str, depth: int) -> Iterator[Fault]:
        """The faults of a value that is known to have one."""
        found = False
        if depth < MAX_DEPTH:
            for fault in self._parts(value, kind, path, depth):
                found = True
                yield fault
        if not found:
            self._faults += 1
            yield path + error[0], error[1]

    def _parts(self, value: Any, kind: Any, path: str, depth: int) -> Iterator[Fault]:
        for place, part, part_kind in _children(value, kind):
            self._steps += 1
            if self._steps > MAX_STEPS or self._faults >= MAX_FAULTS:
                return
            if part_kind is _WRONG:
                self._faults += 1
                yield path, part
                continue
            try:
                self._convert(part, part_kind)
            except msgspec.ValidationError as exc:
                yield from self.below(part, part_kind, first_fault(exc), path + place, depth + 1)


_WRONG: Any = object()
"""In the place of a type: the part is no value but the message."""


def _children(value: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(value, dict):
        record = next((member for member in members_of(kind) if _takes(member, value)), None)
        if record is not None and is_record(record):
            yield from _fields(value, record)
        elif record is not None:
            inner = get_args(bare(record))
            yield from ((f".{name}", part, inner[1]) for name, part in value.items() if len(inner) == 2)
    elif isinstance(value, (list, tuple)):
        for member in members_of(kind):
            if get_origin(bare(member)) in _LISTS:
                yield from _items(value, bare(member))
                return


def _takes(kind: Any, value: dict[Any, Any]) -> bool:
    """Whether an object is to be looked at as this member of a union: a dict, an untagged record, or the one with this tag."""
    plain = bare(kind)
    plain = get_origin(plain) or plain
    if not is_record(kind):
        return plain is dict
    config = getattr(plain, "__struct_config__", None)
    if config is None or config.tag_field is None:
        return True
    return bool(value.get(config.tag_field) == config.tag)


def _fields(value: dict[Any, Any], record: Any) -> Iterator[tuple[str, Any, Any]]:
    fields = fields_of(record)
    for field in fields:
        if field.name in value:
            yield f".{field.name}", value[field.name], field.kind
        elif field.is_required:
            yield "", f"Object missing required field `{field.name}`", _WRONG
    config = getattr(get_origin(bare(record)) or bare(record), "__struct_config__", None)
    if config is not None and config.forbid_unknown_fields:
        known = {config.tag_field, *(field.name for field in fields)}
        for name in (name for name in value if name not in known):
            yield "", f"Object contains unknown field `{name}`", _WRONG


def _items(value: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    inner = get_args(kind)
    if get_origin(kind) is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        yield from ((f"[{index}]", part, part_kind) for index, (part, part_kind) in enumerate(zip(value, inner, strict=False)))
    else:
        yield from ((f"[{index}]", part, inner[0]) for index, part in enumerate(value))
