"""The Authorization header: a scheme and what it carries (RFC 9110 §11.4, RFC 7617 for Basic)."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple


class Credentials(NamedTuple):
    """Scheme, in lower case, and the rest as it was sent. `username` and `password` are those of Basic."""

    auth_type: str
    token: str

    @property
    def username(self) -> str:
        """Of Basic. Raises AttributeError for another scheme, or when it can't be read."""
        return self._basic()[0]

    @property
    def password(self) -> str:
        """Of Basic. Raises AttributeError for another scheme, or when it can't be read."""
        return self._basic()[1]

    def _basic(self) -> tuple[str, str]:
        if self.auth_type == "basic":
            try:
                name, found, password = base64.b64decode(self.token, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                found = ""
            if found:
                return name, password
        raise AttributeError("username and password are there with well-formed Basic credentials only")


def parse_credentials(header: str) -> Credentials | None:
    """The credentials of an Authorization header; None for one without a scheme or without anything behind it."""
    scheme, _, value = header.strip().partition(" ")
    return Credentials(scheme.lower(), value.strip()) if scheme and value.strip() else None
