"""Names with one or more values: query strings and urlencoded bodies (WHATWG URL, application/x-www-form-urlencoded)."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload
from urllib.parse import parse_qsl

from fairlead.errors import BadRequest

T = TypeVar("T")
V = TypeVar("V")

MAX_FIELDS = 1000
"""More fields than this in one query or form are refused with 400: each costs an object (CVE-2022-24761 class)."""


CHARSETS = frozenset(("ascii", "iso-8859-1", "us-ascii", "utf-8", "windows-1252"))
"""Of a form. Not every codec that Python has: some (idna, punycode) take quadratic time (CVE-2022-45061)."""


class MultiValues(dict[str, list[V]], Generic[V]):
    """Name → values. As in Sanic, `get` gives the first value and `getlist` all of them."""

    __slots__ = ()

    @overload  # type: ignore[override]
    def get(self, name: str, default: None = None) -> V | None: ...
    @overload
    def get(self, name: str, default: T) -> V | T: ...
    def get(self, name: str, default: Any = None) -> Any:
        """The first value of a name."""
        values = dict.get(self, name)  # PERF: `super()` costs more than the look-up
        return values[0] if values else default

    def getlist(self, name: str, default: list[V] | None = None) -> list[V]:
        """All values of a name."""
        values = dict.get(self, name)
        return list(values) if values else (default or [])

    def add(self, name: str, value: V) -> None:
        """One more value of a name."""
        if name in self:
            self[name].append(value)
        else:
            self[name] = [value]


class Parameters(MultiValues[str]):
    """Name → values of a query string or a form."""

    __slots__ = ()


def parse_pairs(
    text: str, keep_blank_values: bool = False, encoding: str = "utf-8", errors: str = "replace"
) -> list[tuple[str, str]]:
    """Decode `a=1&b=2` into pairs. Raises `BadRequest` (400) past `MAX_FIELDS` and for undecodable bytes in strict mode."""
    if "%" not in text and "+" not in text and text.isascii() and text.count("&") < MAX_FIELDS:
        # PERF: nothing to unquote, a fifth of the time
        pairs: list[tuple[str, str]] = []
        for piece in text.split("&"):
            name, _, value = piece.partition("=")
            if value or (keep_blank_values and piece):
                pairs.append((name, value))
        return pairs
    try:
        return parse_qsl(text, keep_blank_values=keep_blank_values, encoding=encoding, errors=errors, max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        raise BadRequest(f"The parameters are not {encoding}") from None
    except ValueError:
        raise BadRequest(f"More than {MAX_FIELDS} parameters") from None


def parse_parameters(text: str, keep_blank_values: bool = False, encoding: str = "utf-8", errors: str = "replace") -> Parameters:
    """Decode `a=1&a=2` into `Parameters`. Raises as `parse_pairs`."""
    parameters = Parameters()
    if text:
        for name, value in parse_pairs(text, keep_blank_values, encoding, errors):
            if name in parameters:
                parameters[name].append(value)
            else:
                parameters[name] = [value]
    return parameters


def decode_form(body: bytes, charset: str = "utf-8") -> Parameters:
    """A urlencoded body. Raises `BadRequest` (400) for an impossible charset and for bytes that are not in it."""
    if charset.lower() not in CHARSETS:
        raise BadRequest(f"A form is decoded from {', '.join(sorted(CHARSETS))}")
    try:
        return parse_parameters(body.decode(charset), keep_blank_values=True)
    except UnicodeDecodeError:
        raise BadRequest(f"The form is not {charset}") from None
