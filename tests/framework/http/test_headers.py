"""Header fields: names without case, several values, and nothing that breaks out of its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.http.headers import Headers, check_field, name_of


def test_names_have_no_case() -> None:
    """A field is found under any spelling of its name."""
    headers = Headers({"Content-Type": "text/plain"})
    assert headers["content-type"] == headers["CONTENT-TYPE"] == headers.get("Content-Type") == "text/plain"
    assert "CONTENT-type" in headers
    del headers["content-TYPE"]
    assert len(headers) == 0
    assert 7 not in headers


def test_several_values() -> None:
    """`get` gives the first value, `getall` all; setting replaces, adding appends; pairs keep their order."""
    headers = Headers([("A", "1"), ("b", "2"), ("a", "3")])
    assert (headers["a"], headers.getone("A"), headers.getall("a"), headers.get_all("B")) == ("1", "1", ["1", "3"], ["2"])
    assert headers.multi_items() == [("a", "1"), ("a", "3"), ("b", "2")]
    assert headers.a == "1,3"
    headers["a"] = 4
    assert headers.getall("a") == ["4"]
    headers.extend(Headers({"c": "5"}))
    assert list(headers) == ["a", "b", "c"]


def test_missing_fields() -> None:
    """Without a default a missing field is a KeyError, with one it is the default."""
    headers = Headers()
    for look in (headers.getone, headers.getall, headers.__getitem__):
        with pytest.raises(KeyError):
            look("x")
    assert (headers.get("x"), headers.get("x", "d"), headers.getone("x", None), headers.getall("x", [])) == (None, "d", None, [])
    assert headers.x_forwarded_for == ""
    with pytest.raises(AttributeError):
        headers._private  # noqa: B018


def test_equality_and_repr() -> None:
    """Headers equal headers and mappings of the same fields; the repr shows all pairs."""
    assert Headers({"A": "1"}) == Headers([("a", "1")])
    assert Headers({"A": "1"}) == {"a": "1"}
    assert Headers({"A": "1"}) != 7
    assert repr(Headers({"A": "1"})) == "Headers([('a', '1')])"


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\0b", "a\x7fb", "€"])
def test_values_that_would_break_out(value: str) -> None:
    """A control character, or one beyond latin-1, is refused (CWE-113)."""
    with pytest.raises(ValueError, match="x-a"):
        check_field("x-a", value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "ä"])
def test_names_that_are_none(name: str) -> None:
    """What is no token is no name (RFC 9110 §5.1)."""
    with pytest.raises(ValueError, match="header name"):
        check_field(name, "v")


@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z-]{1,8}", fullmatch=True), st.from_regex(r"[ -~]{0,8}", fullmatch=True))))
def test_raw_pairs(pairs: list[tuple[str, str]]) -> None:
    """What a parser stored comes back as it was, grouped by name."""
    headers = Headers.from_raw([(name.encode(), value.encode()) for name, value in pairs])
    assert headers == Headers(pairs)


def test_known_names_are_bounded() -> None:
    """A client that invents names can't grow the memory of names for ever."""
    from fairlead.http import headers as module

    for number in range(3000):
        assert name_of(b"X-%d" % number) == f"x-{number}"
    assert len(module._known_names) <= module._MAX_KNOWN_NAMES
