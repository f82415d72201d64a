"""Cookies in both directions (RFC 6265)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import text
from fairlead.http.cookies import Cookie, CookieJar, RequestCookies, parse_cookies
from fairlead.http.headers import Headers


def test_reading() -> None:
    """The first of equal names wins; quotes and percent-encoding are undone; junk is passed over."""
    cookies = RequestCookies('a=1; b="two"; c=%C3%A9; a=2; junk; =x; d=')
    assert (cookies["a"], cookies.get("b"), cookies["c"], cookies["d"]) == ("1", "two", "é", "")
    assert cookies.getlist("a") == ["1", "2"]
    assert (cookies.get("x"), cookies.get("x", "y"), cookies.getlist("x")) == (None, "y", [])
    assert ("a" in cookies, "x" in cookies, len(cookies), sorted(cookies)) == (True, False, 4, ["a", "b", "c", "d"])
    with pytest.raises(KeyError):
        cookies["x"]
    assert "1" not in repr(cookies)


def test_equality() -> None:
    """Cookies are equal when they say the same, however it was written; to nothing else."""
    cookies = RequestCookies('a=1; b="2"')
    assert cookies == RequestCookies("b=2;a=1")
    assert cookies != RequestCookies("a=1")
    assert cookies != {"a": ["1"], "b": ["2"]}


def test_prefixes_win() -> None:
    """`get("s")` finds `__Host-s` first, then `__Secure-s`, then `s`: a sub-domain can't shadow a prefixed cookie."""
    assert RequestCookies("s=1; __Secure-s=2; __Host-s=3")["s"] == "3"
    assert RequestCookies("s=1; __Secure-s=2")["s"] == "2"


@given(st.text())
def test_any_header_can_be_read(header: str) -> None:
    """No Cookie header raises, or takes longer than its length warrants."""
    assert all(values for values in parse_cookies(header).values())


def test_writing_is_secure_by_default() -> None:
    """Without further words a cookie is Secure, SameSite=Lax and holds for the whole site."""
    response = text("")
    response.add_cookie("a", "b c")
    assert response.headers["set-cookie"] == "a=b%20c; Path=/; SameSite=Lax; Secure"
    assert ("a" in response.cookies, len(response.cookies)) == (True, 1)


def test_all_attributes() -> None:
    """Every attribute lands in the line."""
    line = str(
        Cookie("s", "v", "/p", "example.org", True, 60, datetime(2026, 1, 2, tzinfo=UTC), True, "Strict", True, secure_prefix=True)
    )
    assert line == (
        "__Secure-s=v; Path=/p; Domain=example.org; Max-Age=60; Expires=Fri, 02 Jan 2026 00:00:00 GMT; "
        "SameSite=Strict; Secure; HttpOnly; Partitioned"
    )


def test_attributes_that_are_left_out() -> None:
    """What is None is not sent."""
    assert str(Cookie("a", "b", path=None, samesite=None, secure=False)) == "a=b"


def test_deleting() -> None:
    """Deleting sets an empty cookie that is over."""
    response = text("")
    response.delete_cookie("a", host_prefix=True)
    assert response.headers["set-cookie"].startswith("__Host-a=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970")


@pytest.mark.parametrize(
    "options",
    [
        {"key": "a b"},
        {"key": "a\r\n"},
        {"path": "/;x"},
        {"domain": "a\r\nb"},
        {"host_prefix": True, "domain": "a.b"},
        {"host_prefix": True, "path": "/x"},
        {"host_prefix": True, "secure_prefix": True},
        {"secure_prefix": True, "secure": False},
        {"partitioned": True, "secure": False},
        {"samesite": "None", "secure": False},
    ],
)
def test_cookies_that_browsers_refuse(options: dict[str, Any]) -> None:
    """A combination that no browser keeps is an error of the application, not a silent loss."""
    with pytest.raises(ValueError, match=r"cookie|needs|prefix|stand"):
        Cookie(**{"key": "a", "value": "b", **options})


def test_jar() -> None:
    """The cookies of a response can be asked for; a line that is none is passed over."""
    jar, place = CookieJar(Headers()), {"path": "/x", "domain": "shop.example"}
    made = jar.add_cookie("a", "ü 1", **place, max_age=5, httponly=True, samesite="Strict", partitioned=True)
    jar.add_cookie("b", "2", host_prefix=True, expires=datetime(2030, 1, 1, tzinfo=UTC))
    jar.add_cookie("c", "3", secure_prefix=True)
    gone = jar.delete_cookie("d")
    jar._headers.add("set-cookie", "no cookie")
    jar._headers.add("set-cookie", "e=1; Max-Age=soon")
    assert jar.get_cookie("a", path="/x", domain="shop.example") == made
    assert jar.get_cookie("b") is None
    assert jar.has_cookie("b", host_prefix=True)
    assert jar.has_cookie("c", secure_prefix=True)
    assert gone.max_age == 0
    assert [cookie.name for cookie in jar.cookies] == ["a", "__Host-b", "__Secure-c", "d"]
    assert (jar.cookies[1].expires, jar.has_cookie("none")) == (datetime(2030, 1, 1, tzinfo=UTC), False)
