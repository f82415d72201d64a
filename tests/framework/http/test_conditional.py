"""Conditional requests: which condition is looked at, how tags and dates compare, and what comes of it (RFC 9110 §13)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from fairlead.errors import PreconditionFailed, PreconditionRequired
from fairlead.http.conditional import check_preconditions, entity_tag, http_date
from fairlead.http.headers import Headers

MOMENT = datetime(2026, 11, 20, 12, 0, 0, 500_000, UTC)
SAME, BEFORE, AFTER = (http_date(MOMENT + timedelta(seconds=seconds)) for seconds in (0, -1, 1))


def outcome(method: str, headers: dict[str, str], **state: Any) -> int:
    """The status: 200 when the request goes on."""
    arguments: dict[str, Any] = {"etag": '"2"', "last_modified": MOMENT} | state
    try:
        return 304 if check_preconditions(method, Headers(headers), **arguments) else 200
    except (PreconditionFailed, PreconditionRequired) as refused:
        return refused.status_code


def test_entity_tags() -> None:
    """Of versions as they are, of bytes a digest."""
    assert [entity_tag(7), entity_tag("a-1", weak=True), entity_tag("")] == ['"7"', 'W/"a-1"', '""']
    assert entity_tag(b"body") == entity_tag(b"body") != entity_tag(b"other")
    assert len(entity_tag(b"body")) == 34


@pytest.mark.parametrize("value", ['a"b', "a b", "a\r\nb", "€"])
def test_what_is_no_tag(value: str) -> None:
    """It would break out of its quotes or its line."""
    with pytest.raises(ValueError, match="entity tag"):
        entity_tag(value)


def test_dates() -> None:
    """GMT, whatever the zone; without one it is UTC."""
    assert http_date(datetime(2026, 11, 20, 13, tzinfo=timezone(timedelta(hours=1)))) == "Fri, 20 Nov 2026 12:00:00 GMT"
    assert http_date(datetime(2026, 11, 20, 12)) == "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("tags", "matches"),
    [
        ('"2"', True),
        ("*", True),
        (" * ", True),
        ('"1", "2"', True),
        ('"1","2","3"', True),
        ('"1"', False),
        ("2", False),
        ('"2', False),
        ('"1, 2"', False),
        ('"1" "2"', False),
        ("*, *", False),
        ("", False),
        ('""', False),
        ('w/"2"', False),
        ('x"2"', False),
        ('"2"x', False),
        (',, "2" ,', True),
        ('"a,2", "2"', True),
        ("W/2", False),
        ('"' + "x" * 10_000 + '"', False),
    ],
)
def test_lists_of_tags(tags: str, matches: bool) -> None:
    """One matches, or none; what is no tag matches nothing."""
    assert outcome("GET", {"if-none-match": tags}) == (304 if matches else 200)
    assert outcome("PUT", {"if-match": tags}) == (200 if matches else 412)


@pytest.mark.parametrize(
    ("given", "current", "strong", "weak"),
    [('W/"1"', 'W/"1"', False, True), ('W/"1"', 'W/"2"', False, False), ('W/"1"', '"1"', False, True), ('"1"', '"1"', True, True)],
)
def test_comparison(given: str, current: str, strong: bool, weak: bool) -> None:
    """The table of §8.8.3.2, from both sides."""
    for one, other in ((given, current), (current, given)):
        assert outcome("PUT", {"if-match": one}, etag=other) == (200 if strong else 412)
        assert outcome("GET", {"if-none-match": one}, etag=other) == (304 if weak else 200)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"if-modified-since": SAME}, 304),
        ("HEAD", {"if-modified-since": AFTER}, 304),
        ("GET", {"if-modified-since": BEFORE}, 200),
        ("GET", {"if-modified-since": "yesterday"}, 200),
        ("GET", {"if-modified-since": "Fri, 20 Nov 2026 12:00:00"}, 304),
        ("GET", {"if-modified-since": "Fri, 99 Nov 2026 12:00:00 GMT"}, 200),
        ("PUT", {"if-modified-since": SAME}, 200),
        ("PUT", {"if-unmodified-since": SAME}, 200),
        ("PUT", {"if-unmodified-since": BEFORE}, 412),
        ("GET", {"if-unmodified-since": BEFORE}, 412),
        ("PUT", {"if-unmodified-since": "nonsense"}, 200),
        ("GET", {}, 200),
        ("PUT", {}, 200),
    ],
)
def test_conditions_of_dates(method: str, headers: dict[str, str], status: int) -> None:
    """Whole seconds; what is no date is ignored; If-Modified-Since is for reading only (§13.1.3)."""
    assert outcome(method, headers) == status


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("PUT", {"if-match": '"2"', "if-unmodified-since": BEFORE}, 200),
        ("PUT", {"if-match": '"1"', "if-unmodified-since": AFTER}, 412),
        ("GET", {"if-none-match": '"1"', "if-modified-since": AFTER}, 200),
        ("GET", {"if-none-match": '"2"', "if-modified-since": BEFORE}, 304),
        ("GET", {"if-match": '"1"', "if-none-match": '"2"'}, 412),
        ("GET", {"if-match": '"2"', "if-none-match": '"2"'}, 304),
        ("GET", {"if-match": '"2"', "if-modified-since": AFTER}, 304),
        ("DELETE", {"if-none-match": '"2"'}, 412),
        ("DELETE", {"if-none-match": '"1"'}, 200),
        ("PUT", {"if-unmodified-since": AFTER, "if-none-match": "*"}, 412),
    ],
)
def test_precedence(method: str, headers: dict[str, str], status: int) -> None:
    """Tags before dates, guards before savings (§13.2.2)."""
    assert outcome(method, headers) == status


def test_several_lines() -> None:
    """Two fields of a name are one list."""
    headers = Headers([("if-none-match", '"1"'), ("if-none-match", '"2"')])
    assert check_preconditions("GET", headers, etag='"2"')


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": "*"}, 200),
        ({"if-match": "*"}, 412),
        ({"if-match": '"2"'}, 412),
        ({"if-none-match": '"2"'}, 200),
        ({}, 200),
    ],
)
def test_nothing_there(headers: dict[str, str], status: int) -> None:
    """ "Create it, and only that" (§13.1.2); nothing can be matched."""
    assert outcome("PUT", headers, exists=False) == status


def test_a_resource_without_tag_or_date() -> None:
    """Only `*` can be said of it; dates are ignored (§13.1.4)."""
    state = {"etag": None, "last_modified": None}
    assert outcome("PUT", {"if-match": "*"}, **state) == 200
    assert outcome("PUT", {"if-match": '"2"'}, **state) == 412
    assert outcome("PUT", {"if-unmodified-since": BEFORE}, **state) == 200
    assert outcome("GET", {"if-modified-since": AFTER}, **state) == 200
    assert outcome("GET", {"if-modified-since": SAME}, last_modified=MOMENT.replace(tzinfo=None)) == 304


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("PUT", {}, 428),
        ("DELETE", {"if-modified-since": SAME}, 428),
        ("GET", {}, 200),
        ("PUT", {"if-match": '"2"'}, 200),
        ("PUT", {"if-match": '"1"'}, 412),
        ("PUT", {"if-none-match": "*"}, 412),
        ("PUT", {"if-unmodified-since": SAME}, 200),
    ],
)
def test_required(method: str, headers: dict[str, str], status: int) -> None:
    """428 for a change that doesn't say what it was made for: no update is lost (RFC 6585 §3)."""
    assert outcome(method, headers, required=True) == status


def test_a_refusal_names_what_is_there() -> None:
    """412 carries the current tag, so that the client can tell; and the application's words."""
    with pytest.raises(PreconditionFailed) as refused:
        check_preconditions("PUT", Headers({"if-match": '"1"'}), etag='"2"', message="The order has changed")
    assert (refused.value.headers, refused.value.message) == ({"ETag": '"2"'}, "The order has changed")
    with pytest.raises(PreconditionFailed) as refused:
        check_preconditions("PUT", Headers({"if-match": "*"}), exists=False)
    assert refused.value.headers == {}
