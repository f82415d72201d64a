"""Origins: where a page came from, as browsers say it in the Origin header (RFC 6454)."""

from __future__ import annotations

import re
from typing import Final

_WEB: Final = re.compile(r"(https?)://([^/?#@\s]+)").fullmatch
_CONFIGURED: Final = re.compile(
    r"(https?|(?:chrome|moz)-extension|safari-web-extension|capacitor|ionic|tauri)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?"
).fullmatch
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def is_origin(text: str) -> bool:
    """Whether `text` is an origin as a browser sends it (RFC 6454 §6.2): lower case, without the default port. Pages of
    extensions and of the usual shells for apps have schemes of their own.
    """
    match = _CONFIGURED(text)
    if match is None:
        return False
    scheme, port = match.groups()
    return port is None or (port != _DEFAULT_PORTS.get(scheme) and int(port) <= 65535)


def is_same_origin(origin: str, scheme: str, host: str) -> bool:
    """Whether a page's origin is the one that a request was sent to: `scheme` and `host` (with its port) of the request.

    Behind a proxy that does not tell the scheme (plain HTTP here) https counts too. `null` and what is no origin never do.
    """
    match = _WEB(origin.lower())
    if match is None or (match[1] == "http" and scheme in ("https", "wss")):
        return False
    return _with_port(match[2], match[1]) == _with_port(host.strip().lower(), match[1])


def _with_port(authority: str, scheme: str) -> str:
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):  # no port, or the colons of an IPv6 address
        return f"{authority}:{_DEFAULT_PORTS[scheme]}"
    return f"{host}:{port or _DEFAULT_PORTS[scheme]}"
