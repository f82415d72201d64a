"""Who the client is when proxies stand between (RFC 7239 and the X-Forwarded family).

Headers are believed only as configured, because any client can send them:
- `FORWARDED_SECRET`: the element of `Forwarded` that carries this secret, and those after it, were written by our own proxy;
- `REAL_IP_HEADER`: one header that the proxy always overwrites;
- `PROXIES_COUNT`: so many proxies append to `X-Forwarded-For`; the address that the outermost of them saw is the client's.
Without any of the three the socket's peer is the client.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Callable

from fairlead.http.headers import Headers

_PAIR = re.compile(r'[ \t]*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^";,\s]*))[ \t]*(;|,|$)')
_HOST = re.compile(r"[A-Za-z0-9\-._~%:\[\]]+").fullmatch


def parse_forwarded(headers: Headers, secret: str) -> dict[str, str]:
    """The fields (for, by, host, proto, port, path) of the trusted element of `Forwarded`; empty when none carries the secret."""
    for element in reversed(_elements(",".join(headers.getall("forwarded", [])))):
        given = element.get("secret") or element.get("by") or ""
        if hmac.compare_digest(given.encode(), secret.encode()):
            return _normalised({name: value for name, value in element.items() if name != "secret"})
    return {}


def _elements(header: str) -> list[dict[str, str]]:
    elements: list[dict[str, str]] = [{}]
    position = 0
    while position < len(header):
        found = _PAIR.match(header, position)
        if found is None:
            return []
        name, quoted, plain, end = found.groups()
        elements[-1][name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        if end == ",":
            elements.append({})
        position = found.end()
    return elements


def parse_x_forwarded(headers: Headers, real_ip_header: str | None, proxies_count: int | None) -> dict[str, str]:
    """The same fields from `REAL_IP_HEADER` or the `X-Forwarded-*` headers of a known number of proxies."""
    address = headers.get(real_ip_header) if real_ip_header else None
    if not address and proxies_count:
        hops = [hop.strip() for hop in ",".join(headers.getall("x-forwarded-for", [])).split(",")]
        hops = [hop for hop in hops if hop]
        if len(hops) < proxies_count:
            return {}
        address = hops[-proxies_count]
    if not address:
        return {}
    fields = {"for": address}
    for field, names in (
        ("proto", ("x-forwarded-proto", "x-scheme")),  # few proxies overwrite the second, so any client could set it
        ("host", ("x-forwarded-host",)),
        ("port", ("x-forwarded-port",)),
        ("path", ("x-forwarded-path",)),
    ):
        value = next((headers[name] for name in names if name in headers), None)
        if value:
            fields[field] = value
    return _normalised(fields)


_CHECKS: dict[str, Callable[[str], bool]] = {
    "proto": lambda value: value in ("http", "https", "ws", "wss"),
    "host": lambda value: _HOST(value) is not None,
    "port": lambda value: value.isdecimal() and len(value) <= 5 and 0 < int(value) < 65536,
}


def _normalised(fields: dict[str, str]) -> dict[str, str]:
    """What is well-formed of the fields, in one spelling."""
    result: dict[str, str] = {}
    for name, value in fields.items():
        if name in ("for", "by"):
            result[name] = _address(value)
        elif name in _CHECKS and _CHECKS[name](value.lower()):
            result[name] = value.lower()
        elif name == "path" and value.startswith("/") and value.isprintable():
            result[name] = value
    return result


def _address(value: str) -> str:
    """An IP address without port, IPv6 in brackets; obfuscated identifiers (`_hidden`, `unknown`) stay as they are."""
    text = value.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return value.strip().lower()[:64]
    return f"[{address}]" if address.version == 6 else str(address)
