"""Names with one or more values: query strings and urlencoded bodies (WHATWG URL, application/x-www-form-urlencoded)."""

from __future__ import annotations

from typing import Any, TypeVar, overload
from urllib.parse import parse_qsl

from fairlead.errors import BadRequest

T = TypeVar("T")

MAX_FIELDS = 1000
"""More fields than this in one query or form are refused with 400: each costs an object (CVE-2022-24761 class)."""


class Parameters(dict[str, list[str]]):
    """Name → values. As in Sanic, `get` gives the first value and `getlist` all of them."""

    __slots__ = ()

    @overload  # type: ignore[override]
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: T) -> str | T: ...
    def get(self, name: str, default: Any = None) -> Any:
        """The first value of a name."""
        values = super().get(name)
        return values[0] if values else default

    def getlist(self, name: str, default: list[str] | None = None) -> list[str]:
        """All values of a name."""
        values = super().get(name)
        return list(values) if values else (default or [])


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


def parse_parameters(text: str, **options: Any) -> Parameters:
    """Decode `a=1&a=2` into `Parameters`."""
    parameters = Parameters()
    if not text:
        return parameters
    for name, value in parse_pairs(text, **options):
        if name in parameters:
            parameters[name].append(value)
        else:
            parameters[name] = [value]
    return parameters
