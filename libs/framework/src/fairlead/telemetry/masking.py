"""What must not reach a log: secrets by the name of their field, tokens by their look.

Two nets, because each has holes. A field called `password` or `authorization` is masked whatever it holds; a value that
looks like a credential (a JWT, `Bearer …`, the password in a database URL, `token=…` in a query) is masked wherever it
stands: in a message, a nested field, a traceback. A token that looks like any other word passes: don't log what you
would not print.

PERF: the patterns run only over lines that hold one of a few literal words, which `in` finds at memory speed (0.6 µs
for a usual line; one case-insensitive alternation over it costs 4). No pattern takes more than linear time: what is
logged may have been chosen by an attacker.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

__all__ = ["MASK", "is_secret_name", "is_suspicious", "mask_tokens"]

MASK = "***"

_SECRET_NAMES = (
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "secret",
    "token",
)


@lru_cache(maxsize=2_048)
def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret: `password`, `X-Api-Key`, `refresh_token`, `Set-Cookie` …"""
    plain = name.lower().replace("-", "_")
    return any(part in plain for part in _SECRET_NAMES)


_SUSPICIOUS = ("=", "://", "eyJ", "earer", "EARER", "uthorization", "UTHORIZATION", "ookie", "OOKIE")


def is_suspicious(text: str) -> bool:
    """Whether `mask_tokens` could find anything in `text`."""
    return any(map(text.__contains__, _SUSPICIOUS))


_VALUE = r"[^\s\"'\\&;,)\]}]+"
_GIVEN = r"[\"']?\s*[:=,]\s*(?:b(?=[\"']))?[\"']?"
_PATTERNS: tuple[tuple[Callable[..., str], str], ...] = (
    # A JSON Web Token: its first part is base64 of {" (RFC 7519).
    (re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*").sub, MASK),
    # Credentials of HTTP: a bearer token (RFC 6750), or a header in a dump of headers (RFC 9110 §11.4, RFC 6265).
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]{4,}", re.IGNORECASE).sub, rf"\g<1>{MASK}"),
    (re.compile(rf"(authorization{_GIVEN})(?:[a-z]+\s+)?{_VALUE}", re.IGNORECASE).sub, rf"\g<1>{MASK}"),
    (re.compile(rf"(cookie{_GIVEN})[^\"'\r\n]+", re.IGNORECASE).sub, rf"\g<1>{MASK}"),
    # user:password@host of a URL (RFC 3986 §3.2.1).
    (re.compile(r"(://[^\s:/@]*):[^\s/@]+@").sub, rf"\g<1>:{MASK}@"),
    # A parameter of a query, a DSN or a command line.
    (
        re.compile(rf"((?:password|passwd|passphrase|secret|token|api_?key|signature)[\w-]{{0,32}}=){_VALUE}", re.IGNORECASE).sub,
        rf"\g<1>{MASK}",
    ),
)


def mask_tokens(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `***`."""
    if is_suspicious(text):
        for substitute, replacement in _PATTERNS:
            text = substitute(replacement, text)
    return text
