"""Conditional requests (RFC 9110 §13): "only if it has changed" for reading, "only if it has not" for changing.

    etag = entity_tag(product.version)
    if check_preconditions(request.method, request.headers, etag=etag):
        return empty(304, headers={"ETag": etag})

An entity tag is strong when two answers that have it are the same bytes. If-Match and If-Unmodified-Since guard changes and compare
strongly: a weak tag never matches. If-None-Match and If-Modified-Since save answers and compare weakly (§8.8.3.2). Where both
kinds of a pair are sent, tags win over dates (§13.2.2). What is no entity tag matches nothing: a client that sends
``If-Match: 3`` without the quotes is refused rather than allowed to overwrite what it has not seen. What is no date is ignored, as
§13.1.3 and §13.1.4 have it.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from fairlead.errors import PreconditionFailed, PreconditionRequired
from fairlead.http.headers import Headers

__all__ = ["check_preconditions", "entity_tag", "has_changed", "http_date", "is_unmodified"]

_ENTITY_TAG: Final = re.compile(r'(?:^|,)[ \t]*(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|$)')
_OPAQUE: Final = re.compile(r"[\x21\x23-\x7e\x80-\xff]*").fullmatch
DIGEST_BYTES: Final = 16


def entity_tag(value: str | int | bytes, *, weak: bool = False) -> str:
    """The entity tag of a version (a number, a text), or of a body's bytes (a digest of them).

    Raises ValueError for a text that can't stand between the quotes.
    """
    text = hashlib.blake2b(value, digest_size=DIGEST_BYTES).hexdigest() if isinstance(value, bytes) else str(value)
    if _OPAQUE(text) is None:
        raise ValueError(f"{text!r} can't stand in an entity tag")
    return f'{"W/" if weak else ""}"{text}"'


def http_date(moment: datetime) -> str:
    """A moment as Last-Modified has it. One without a time zone is taken as UTC."""
    return format_datetime((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC), usegmt=True)


def check_preconditions(
    method: str,
    headers: Headers,
    *,
    etag: str | None = None,
    last_modified: datetime | None = None,
    exists: bool = True,
    required: bool = False,
    message: str = "The resource has changed since it was read",
) -> bool:
    """Whether the answer is 304, because the client has what it would get; never for methods other than GET and HEAD.

    `etag` and `last_modified` are those of what is there now; `exists=False` says that nothing is (a PUT that would create it, with
    ``If-None-Match: *`` say). Raises `PreconditionFailed` (412, with the current tag) when the request must not be done, and with
    `required` `PreconditionRequired` (428, RFC 6585 §3) when a change says nothing of what the client has seen.
    """
    is_reading = method in ("GET", "HEAD")
    if required and not is_reading and not headers.keys() & {"if-match", "if-unmodified-since", "if-none-match"}:
        raise PreconditionRequired("Say with If-Match which version the change is made for")
    current = etag if exists else None
    if has_changed(headers, current, last_modified, exists=exists):
        raise _failed(message, current)
    if not is_unmodified(headers, current, last_modified if is_reading else None, exists=exists):
        return False
    if not is_reading:
        raise _failed(message, current)
    return True


def is_unmodified(headers: Headers, etag: str | None, last_modified: datetime | None = None, *, exists: bool = True) -> bool:
    """Whether If-None-Match or else If-Modified-Since say that the client has what is there (steps 3 and 4 of §13.2.2)."""
    tags = headers.getall("if-none-match", None)
    if tags is not None:
        return _matches(tags, etag, exists, weakly=True)
    since = _moment(headers, "if-modified-since")
    return since is not None and last_modified is not None and _seconds(last_modified) <= since


def has_changed(headers: Headers, etag: str | None, last_modified: datetime | None = None, *, exists: bool = True) -> bool:
    """Whether If-Match or else If-Unmodified-Since insist on something else than what is there (steps 1 and 2)."""
    tags = headers.getall("if-match", None)
    if tags is not None:
        return not _matches(tags, etag, exists, weakly=False)
    since = _moment(headers, "if-unmodified-since")
    return since is not None and last_modified is not None and _seconds(last_modified) > since


def _matches(values: list[str], etag: str | None, exists: bool, *, weakly: bool) -> bool:
    value = ", ".join(values)
    if value.strip() == "*":
        return exists
    if etag is None or (etag.startswith("W/") and not weakly):
        return False
    opaque = etag.removeprefix("W/")
    return any(tag == opaque and (weakly or not weak) for weak, tag in _ENTITY_TAG.findall(value))


def _moment(headers: Headers, name: str) -> datetime | None:
    """The date of a field; None without it, and for one that is no date."""
    try:
        moment = parsedate_to_datetime(headers.get(name, ""))
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(moment: datetime) -> datetime:
    """HTTP has whole seconds."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).replace(microsecond=0)


def _failed(message: str, etag: str | None) -> PreconditionFailed:
    return PreconditionFailed(message, headers={"ETag": etag} if etag is not None else {})
