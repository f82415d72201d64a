"""Media types and the Accept header (RFC 9110 §12.5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.http.media import is_json, parse_accept, split_parameters


@pytest.mark.parametrize(
    ("accept", "offers", "chosen"),
    [
        ("", ("application/json", "text/html"), "application/json"),
        ("*/*", ("application/json", "text/html"), "application/json"),
        ("text/html, */*;q=0.8", ("application/json", "text/html"), "text/html"),
        ("text/*;q=0.5, text/html;q=0.1", ("text/html", "text/plain"), "text/plain"),
        ("text/html;q=0, */*", ("text/html",), None),
        ("application/json", ("text/html",), None),
        ("text/html;q=abc, text/plain", ("text/html", "text/plain"), "text/plain"),
        ("nonsense, , /", ("text/html",), "text/html"),
        ("*", ("text/html",), "text/html"),
        ('text/html;a="x,y;q=0", text/plain;q=0.5', ("text/plain", "text/html"), "text/html"),
        ("text/html;q=nan", ("text/html",), None),
    ],
)
def test_choice(accept: str, offers: tuple[str, ...], chosen: str | None) -> None:
    """The best offer for the client; of equal ones the server's first."""
    assert parse_accept(accept).match(*offers) == chosen


def test_membership_and_mime() -> None:
    """`in` says whether a type is acceptable; the ranges are sorted, best first."""
    accept = parse_accept("text/html;q=0.3, application/json;level=1")
    assert ("text/html" in accept, "image/png" in accept, 7 in accept) == (True, False, False)
    assert [media_range.mime for media_range in accept] == ["application/json", "text/html"]


@given(st.text())
def test_any_accept_header_can_be_read(value: str) -> None:
    """No Accept header raises."""
    parse_accept(value).match("text/html", "application/json")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.api+json", True),
        ("text/plain", False),
        ("text/json", False),
        ("", False),
    ],
)
def test_json_types(value: str, expected: bool) -> None:
    """application/json and everything that ends in +json is JSON (RFC 6839)."""
    assert is_json(value) is expected


def test_parameters() -> None:
    """Parameters are cut outside of quotes; quotes and escapes go."""
    assert split_parameters('Text/HTML; Charset="a;\\"b"; x; y = 1') == ("text/html", {"charset": 'a;"b', "y": "1"})
