"""Header fields: a case-insensitive mapping of names to one or more values.

Names are kept in lower case, which is how HTTP/2 sends them and what HTTP/1.1 allows. Values are `str` decoded as latin-1, as
they came (RFC 9110 §5.5); what a handler sets is checked on the way out, so that no value can begin a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TypeVar, overload

from fairlead.types import HeaderItems

T = TypeVar("T")
_REQUIRED: Any = object()

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch

_known_names: dict[bytes, str] = {}
_MAX_KNOWN_NAMES = 1024


def name_of(raw: bytes) -> str:
    """A received field name in lower case. PERF: the names of real traffic repeat, so they are decoded once (bounded)."""
    name = _known_names.get(raw)
    if name is None:
        name = raw.decode("latin-1").lower()
        if len(_known_names) < _MAX_KNOWN_NAMES and len(raw) <= 64:
            _known_names[raw] = name
    return name


def check_field(name: str, value: str) -> None:
    """Refuse what would break out of its line (response splitting, CWE-113). Raises ValueError."""
    if _TOKEN(name) is None:
        raise ValueError(f"{name!r} is no header name")
    if _VALUE(value) is None:
        raise ValueError(f"the value of {name!r} holds a control character or one beyond latin-1")


class Headers(MutableMapping[str, str]):
    """A multi-value mapping of header fields, in order of first appearance.

    `headers["name"]` and `get` give the first value, `getall` all of them; setting replaces all, `add` appends.
    """

    __slots__ = ("_values",)

    def __init__(self, items: HeaderItems | None = None) -> None:
        self._values: dict[str, list[str]] = {}
        if items:
            self.extend(items)

    @classmethod
    def from_raw(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Build from the pairs that a parser stored."""
        headers = cls.__new__(cls)
        values: dict[str, list[str]] = {}
        for raw_name, raw_value in pairs:
            name = name_of(raw_name)
            if name in values:
                values[name].append(raw_value.decode("latin-1"))
            else:
                values[name] = [raw_value.decode("latin-1")]
        headers._values = values
        return headers

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][0]

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[name.lower()] = [str(value)]

    def __delitem__(self, name: str) -> None:
        del self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    @overload
    def get(self, name: str, default: T) -> str | T: ...
    def get(self, name: str, default: Any = None) -> Any:
        """The first value of a field."""
        values = self._values.get(name) or self._values.get(name.lower())
        return values[0] if values else default

    @overload
    def getone(self, name: str) -> str: ...
    @overload
    def getone(self, name: str, default: T) -> str | T: ...
    def getone(self, name: str, default: Any = _REQUIRED) -> Any:
        """The first value of a field; KeyError without one and without a default."""
        values = self._values.get(name.lower())
        if values:
            return values[0]
        if default is _REQUIRED:
            raise KeyError(name)
        return default

    @overload
    def getall(self, name: str) -> list[str]: ...
    @overload
    def getall(self, name: str, default: T) -> list[str] | T: ...
    def getall(self, name: str, default: Any = _REQUIRED) -> Any:
        """All values of a field, in order; KeyError without one and without a default."""
        values = self._values.get(name.lower())
        if values:
            return list(values)
        if default is _REQUIRED:
            raise KeyError(name)
        return default

    get_all = getall

    def add(self, name: str, value: Any) -> None:
        """Append a value to a field."""
        self._values.setdefault(name.lower(), []).append(str(value))

    def extend(self, items: HeaderItems) -> None:
        """Append all items of a mapping or of pairs."""
        if isinstance(items, Headers):
            items = items.multi_items()
        elif isinstance(items, Mapping):
            items = items.items()
        for name, value in items:
            self.add(name, value)

    def multi_items(self) -> list[tuple[str, str]]:
        """Every (name, value), a pair for each value."""
        return [(name, value) for name, values in self._values.items() for value in values]

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return ",".join(self._values.get(name.replace("_", "-").lower(), ()))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self._values == other._values
        if isinstance(other, Mapping):
            return self == Headers(other)
        return NotImplemented

    def __repr__(self) -> str:
        return f"Headers({self.multi_items()!r})"


def add_vary(headers: Headers, name: str) -> None:
    """Name one more request header that the answer depends on (RFC 9110 §12.5.5); "*" already says every one."""
    present = ", ".join(headers.getall("vary", []))
    names = {part.strip().lower() for part in present.split(",")}
    if name.lower() not in names and "*" not in names:
        headers["vary"] = f"{present}, {name}" if present else name
