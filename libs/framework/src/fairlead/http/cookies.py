"""Cookies in both directions (RFC 6265).

Reading is linear in the size of the header and takes the first of equal names, as browsers send the most specific first.
Writing is secure by default: `Secure`, `SameSite=Lax`, `Path=/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote, unquote

from fairlead.http.headers import Headers

SameSite = Literal["Lax", "Strict", "None", "lax", "strict", "none"]

HOST_PREFIX = "__Host-"
SECURE_PREFIX = "__Secure-"

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_PLAIN_VALUE = re.compile(r"[!#$%&'()*+\-./:<=>?@\[\]^_`{|}~0-9A-Za-z]*").fullmatch
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*").fullmatch


def parse_cookies(header: str) -> dict[str, list[str]]:
    """Cut a Cookie header into names and values; pieces without a name or `=` are passed over."""
    cookies: dict[str, list[str]] = {}
    for piece in header.split(";"):
        name, found, value = piece.partition("=")
        name = name.strip()
        if not found or not name:
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if "%" in value:
            value = unquote(value)
        cookies.setdefault(name, []).append(value)
    return cookies


class RequestCookies:
    """The cookies of a request. `get("session")` also finds `__Host-session` and `__Secure-session`, which win."""

    __slots__ = ("_cookies",)

    def __init__(self, header: str) -> None:
        self._cookies = parse_cookies(header)

    def _find(self, name: str) -> list[str] | None:
        cookies = self._cookies
        return cookies.get(HOST_PREFIX + name) or cookies.get(SECURE_PREFIX + name) or cookies.get(name)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a cookie."""
        values = self._find(name)
        return values[0] if values else default

    def getlist(self, name: str, default: list[str] | None = None) -> list[str]:
        """All values of a cookie."""
        values = self._find(name)
        return list(values) if values else (default or [])

    def __getitem__(self, name: str) -> str:
        values = self._find(name)
        if not values:
            raise KeyError(name)
        return values[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._cookies)

    def __len__(self) -> int:
        return len(self._cookies)

    def __eq__(self, other: object) -> bool:
        return self._cookies == other._cookies if isinstance(other, RequestCookies) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RequestCookies({sorted(self._cookies)!r})"


@dataclass(slots=True)
class Cookie:
    """One Set-Cookie line. Raises ValueError where the parts make no cookie that a browser would keep."""

    key: str
    value: str
    path: str | None = "/"
    domain: str | None = None
    secure: bool = True
    max_age: int | None = None
    expires: datetime | None = None
    httponly: bool = False
    samesite: SameSite | None = "Lax"
    partitioned: bool = False
    host_prefix: bool = False
    secure_prefix: bool = False

    def __post_init__(self) -> None:
        if _NAME(self.key) is None:
            raise ValueError(f"{self.key!r} is no cookie name")
        if self.host_prefix and self.secure_prefix:
            raise ValueError("a cookie has one prefix: host_prefix or secure_prefix")
        if self.host_prefix and (not self.secure or self.domain is not None or self.path != "/"):
            raise ValueError("a __Host- cookie needs secure=True, path='/' and no domain")
        if self.secure_prefix and not self.secure:
            raise ValueError("a __Secure- cookie needs secure=True")
        if self.partitioned and not self.secure:
            raise ValueError("a partitioned cookie needs secure=True")
        if (self.samesite or "").lower() == "none" and not self.secure:
            raise ValueError("samesite='None' needs secure=True")
        for attribute in (self.path, self.domain):
            if attribute is not None and _ATTRIBUTE(attribute) is None:
                raise ValueError(f"{attribute!r} can't stand in a cookie's attribute")

    @property
    def name(self) -> str:
        """The name as it is sent, prefix included."""
        if self.host_prefix:
            return HOST_PREFIX + self.key
        return SECURE_PREFIX + self.key if self.secure_prefix else self.key

    def __str__(self) -> str:
        value = self.value if _PLAIN_VALUE(self.value) else quote(self.value, safe="!#$&'()*+/:<=>?@[]^`{|}~")
        parts = [f"{self.name}={value}"]
        if self.path is not None:
            parts.append(f"Path={self.path}")
        if self.domain is not None:
            parts.append(f"Domain={self.domain}")
        if self.max_age is not None:
            parts.append(f"Max-Age={self.max_age}")
        if self.expires is not None:
            parts.append(f"Expires={format_datetime(self.expires, usegmt=True)}")
        if self.samesite is not None:
            parts.append(f"SameSite={self.samesite.title()}")
        for flag, text in ((self.secure, "Secure"), (self.httponly, "HttpOnly"), (self.partitioned, "Partitioned")):
            if flag:
                parts.append(text)
        return "; ".join(parts)


class CookieJar:
    """The Set-Cookie lines of a response: a view of its headers."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def add(self, cookie: Cookie) -> Cookie:
        """Append a cookie."""
        self._headers.add("set-cookie", str(cookie))
        return cookie

    def add_cookie(self, key: str, value: str, **attributes: Any) -> Cookie:
        """Append a cookie, with the attributes of `Cookie`."""
        return self.add(Cookie(key, value, **attributes))

    def delete_cookie(self, key: str, **attributes: Any) -> Cookie:
        """Tell the client to forget a cookie; name, path, domain and prefix are those that it was set with."""
        return self.add(Cookie(key, "", max_age=0, expires=datetime(1970, 1, 1, tzinfo=UTC), **attributes))

    @property
    def cookies(self) -> list[Cookie]:
        """The cookies that are set, as they would be set again. Lines that are none are passed over."""
        return [cookie for line in self._lines() if (cookie := _cookie_of(line)) is not None]

    def get_cookie(
        self,
        key: str,
        *,
        path: str = "/",
        domain: str | None = None,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> Cookie | None:
        """The cookie of a name, path and domain; None when it is not set."""
        name = (HOST_PREFIX if host_prefix else SECURE_PREFIX if secure_prefix else "") + key
        for cookie in self.cookies:
            if (cookie.name, cookie.path, cookie.domain) == (name, path, domain):
                return cookie
        return None

    def has_cookie(self, key: str, **options: Any) -> bool:
        """Whether `get_cookie` finds one."""
        return self.get_cookie(key, **options) is not None

    def __contains__(self, name: object) -> bool:
        return any(line.partition("=")[0] == name for line in self._lines())

    def __len__(self) -> int:
        return len(self._lines())

    def _lines(self) -> list[str]:
        return self._headers.getall("set-cookie", [])


def _cookie_of(line: str) -> Cookie | None:
    """Read a Set-Cookie line as a browser does (RFC 6265 §5.2)."""
    first, *rest = (part.strip() for part in line.split(";"))
    name, _, value = first.partition("=")
    given = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
    host, secure = name.startswith(HOST_PREFIX), name.startswith(SECURE_PREFIX)
    try:
        return Cookie(
            name.removeprefix(HOST_PREFIX).removeprefix(SECURE_PREFIX),
            unquote(value),
            given.get("path"),
            given.get("domain"),
            "secure" in given,
            int(given["max-age"]) if "max-age" in given else None,
            parsedate_to_datetime(given["expires"]) if "expires" in given else None,
            "httponly" in given,
            given.get("samesite"),  # type: ignore[arg-type]
            "partitioned" in given,
            host,
            secure,
        )
    except ValueError:
        return None
