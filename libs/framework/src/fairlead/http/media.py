"""Media types and the Accept header (RFC 9110 §12.5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
OCTETS = "application/octet-stream"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


def split_parameters(value: str) -> tuple[str, dict[str, str]]:
    """Cut `text/html; charset="utf-8"` into the lower-case value and its parameters; names are lower-case, quotes are gone."""
    head, *rest = _split_outside_quotes(value, ";")
    parameters: dict[str, str] = {}
    for part in rest:
        name, found, text = part.partition("=")
        if found:
            text = text.strip()
            if len(text) >= 2 and text[0] == text[-1] == '"':
                text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            parameters[name.strip().lower()] = text
    return head.strip().lower(), parameters


def _split_outside_quotes(value: str, separator: str) -> list[str]:
    if '"' not in value:
        return value.split(separator)
    parts: list[str] = []
    start, quoted, escaped = 0, False, False
    for index, character in enumerate(value):
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(value[start:index])
            start = index + 1
    parts.append(value[start:])
    return parts


def is_json(content_type: str) -> bool:
    """Whether a Content-Type holds JSON: `application/json` or any `+json` type (RFC 6839 §3.1)."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == JSON or (media_type.startswith("application/") and media_type.endswith("+json"))


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of an Accept header; `specificity` orders ranges of equal quality (RFC 9110 §12.5.1)."""

    type: str
    subtype: str
    quality: float
    parameters: int = 0

    @property
    def mime(self) -> str:
        """`type/subtype`."""
        return f"{self.type}/{self.subtype}"

    @property
    def specificity(self) -> tuple[bool, bool, int]:
        """Sorts `text/html;level=1` before `text/html` before `text/*` before `*/*`."""
        return (self.type != "*", self.subtype != "*", self.parameters)

    def matches(self, media_type: str) -> bool:
        """Whether a plain media type such as `text/html` lies within this range."""
        kind, _, subtype = media_type.partition("/")
        return self.type in ("*", kind) and self.subtype in ("*", subtype)


class AcceptList(tuple[MediaRange, ...]):
    """The ranges of an Accept header, best first. Empty or missing headers accept everything."""

    __slots__ = ()

    def match(self, *media_types: str) -> str | None:
        """The best of `media_types` for this client; the first of them wins a tie; None when all are refused."""
        best: tuple[float, int] | None = None
        chosen = None
        for index, media_type in enumerate(media_types):
            quality = self.quality(media_type)
            if quality > 0 and (best is None or (quality, -index) > best):
                best, chosen = (quality, -index), media_type
        return chosen

    def quality(self, media_type: str) -> float:
        """The quality (0 to 1) that the client gives a media type: that of the most specific range that matches."""
        if not self:
            return 1.0
        fitting = [media_range for media_range in self if media_range.matches(media_type)]
        return max(fitting, key=lambda media_range: media_range.specificity).quality if fitting else 0.0

    def __contains__(self, media_type: object) -> bool:
        return isinstance(media_type, str) and self.quality(media_type) > 0


@lru_cache(maxsize=256)
def parse_accept(value: str) -> AcceptList:
    """Parse an Accept header; elements that make no sense are passed over."""
    ranges: list[MediaRange] = []
    for element in _split_outside_quotes(value, ","):
        mime, parameters = split_parameters(element)
        kind, found, subtype = mime.partition("/")
        if not found and kind == "*":
            subtype = "*"
        if not kind or not subtype:
            continue
        try:
            quality = min(max(float(parameters.pop("q", "1")), 0.0), 1.0)
        except ValueError:
            continue
        ranges.append(MediaRange(kind, subtype, quality, len(parameters)))
    ranges.sort(key=lambda media_range: (media_range.quality, media_range.specificity), reverse=True)
    return AcceptList(ranges)
