"""What the tests of access tokens share: a clock that stands still, and a forge for tokens of any shape."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from fairlead.auth import SigningKey

NOW = 1_800_000_000
ISSUER = "https://auth.example"
AUDIENCE = "fairlead"


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def header(key: SigningKey, **changes: Any) -> dict[str, Any]:
    """The header of a good token, changed; a value of `...` removes the name."""
    return _changed({"alg": "EdDSA", "typ": "at+jwt", "kid": key.kid}, changes)


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token, changed; a value of `...` removes the name."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "5f0c9a0e-6a67-4f7c-8a4e-1b1f6d3b6a11",
        "scope": "catalog:write feed:read",
        "iat": NOW,
        "exp": NOW + 600,
        "jti": "token-1",
    }
    return _changed(good, changes)


def forge(key: SigningKey, head: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes) -> str:
    """A token with exactly this header and payload, truly signed with `key`."""
    head_bytes = head if isinstance(head, bytes) else json.dumps(head).encode()
    payload_bytes = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = f"{encoded(head_bytes)}.{encoded(payload_bytes)}"
    return f"{signed}.{encoded(key.private.sign(signed.encode()))}"


def _changed(good: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}
