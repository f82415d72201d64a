"""Conditional requests (RFC 9110 §13): entity tags of versions, If-None-Match for reading, If-Match for changing.

A version's tag is strong: two answers with the same tag are the same bytes, as long as a product's JSON keeps its shape (a
release that changes it has to change `etag_of` too). If-Match compares strongly, so a weak tag
matches nothing; If-None-Match compares weakly (§8.8.3.2). What is no entity tag matches nothing either: a client that
sends ``If-Match: 3`` without the quotes is refused rather than allowed to overwrite what it has not seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from fairlead.errors import PreconditionFailed
from fairlead.http.headers import Headers

__all__ = ["etag_of", "is_current", "require_match"]

_ENTITY_TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def is_current(headers: Headers, version: int) -> bool:
    """Whether If-None-Match says that the client has this version: the answer is 304 then."""
    values = headers.getall("if-none-match", [])
    return _matches(values, etag_of(version), weakly=True)


def require_match(headers: Headers, version: int) -> None:
    """Raise `PreconditionFailed` (412, with the tag of what is there) unless If-Match, if any, allows a change.

    If-None-Match on a change asks for the opposite; with a tag of what is there, or ``*``, it fails too (§13.1.2).
    """
    current = etag_of(version)
    wanted = headers.getall("if-match", [])
    unwanted = headers.getall("if-none-match", [])
    if (wanted and not _matches(wanted, current, weakly=False)) or _matches(unwanted, current, weakly=True):
        raise PreconditionFailed("The product has changed since it was read", headers={"ETag": current})


def _matches(values: Sequence[str], current: str, *, weakly: bool) -> bool:
    value = ", ".join(values)
    if value.strip() == "*":
        return True
    return any(tag == current and (weakly or not weak) for weak, tag in _ENTITY_TAG.findall(value))
