"""Who is counted: functions from a request to the text that its requests are counted under; None is not counted at all.

Give `RateLimit(key=…)` one of these or one of your own, plain or async. The text itself is never stored: backends see a digest
of fixed length, so that neither a long header nor an API key gets into Redis.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from fairlead.request import Request

__all__ = ["Key", "by_client_ip", "by_header", "by_principal"]

Key: TypeAlias = Callable[[Request[Any, Any]], str | Awaitable[str | None] | None]


def by_client_ip(request: Request[Any, Any]) -> str | None:
    """The client's address as the trusted proxies give it (`FORWARDED_SECRET`, `REAL_IP_HEADER`, `PROXIES_COUNT`), else the peer's.

    A network of IPv6 (/64) counts as one client: a customer of any provider has 2^64 addresses to choose from.
    """
    text = request.client_ip.strip("[]")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))


def by_principal(request: Request[Any, Any]) -> str | None:
    """The account of a request that `fairlead.auth.Protected` has let in, after which this counts; the address of all others.

    `@protected` is nearer to the handler than any limit: to it a request is still nobody's.
    """
    principal = getattr(request.ctx, "principal", None)
    return f"subject {principal.subject}" if principal is not None else by_client_ip(request)


def by_header(name: str) -> Key:
    """A key function: the value of a header such as an API key; the client's address without one.

    Check the API key before the limit looks at it: whoever may send any value has as many quotas as values.
    """

    def key(request: Request[Any, Any]) -> str | None:
        value = request.headers.get(name)
        return f"{name} {value}" if value else by_client_ip(request)

    return key
