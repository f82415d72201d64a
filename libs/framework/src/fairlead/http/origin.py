"""Origins: where a page came from, as browsers say it in the Origin header (RFC 6454)."""

from __future__ import annotations

import re

_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)").fullmatch
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def is_same_origin(origin: str, scheme: str, host: str) -> bool:
    """Whether a page's origin is the one that a request was sent to: `scheme` and `host` (with its port) of the request.

    Behind a proxy that does not tell the scheme (plain HTTP here) https counts too. `null` and what is no origin never do.
    """
    match = _ORIGIN(origin.lower())
    if match is None or (match[1] == "http" and scheme in ("https", "wss")):
        return False
    return _with_port(match[2], match[1]) == _with_port(host.strip().lower(), match[1])


def _with_port(authority: str, scheme: str) -> str:
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):  # no port, or the colons of an IPv6 address
        return f"{authority}:{_DEFAULT_PORTS[scheme]}"
    return f"{host}:{port or _DEFAULT_PORTS[scheme]}"
