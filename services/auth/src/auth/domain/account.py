"""Accounts, and the addresses that name them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

__all__ = ["MAX_EMAIL_CHARACTERS", "Account", "StoredAccount", "normalise_email"]

MAX_EMAIL_CHARACTERS: Final = 254
"""The longest address that SMTP can carry (RFC 5321 §4.5.3.1.3)."""

MAX_LOCAL_CHARACTERS: Final = 64

_LOCAL: Final = re.compile(r"[^\s@\"(),:;<>\[\]\\.]+(\.[^\s@\"(),:;<>\[\]\\.]+)*")
_LABEL: Final = r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")


class Account(Struct, frozen=True):
    """What the owner of an account sees of it."""

    id: UUID
    email: str
    scopes: list[str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """What signing in needs to know of an account."""

    id: UUID
    email: str
    scopes: list[str]
    password_hash: str
    version: int
    """Counts changes of the password: a session can't begin with a password that was changed meanwhile."""

    is_active: bool


def normalise_email(text: str) -> str:
    """The address in the one form in which it is stored and compared: trimmed, composed (NFC), in lower case.

    Upper and lower case name one account, the local part included: no provider in use tells them apart, people do
    not either. Quoted local parts, comments and bare host names are refused. Raises ValueError.
    """
    email = unicodedata.normalize("NFC", text.strip()).lower()
    local, at, domain = email.rpartition("@")
    valid = (
        bool(at)
        and len(email) <= MAX_EMAIL_CHARACTERS
        and len(local) <= MAX_LOCAL_CHARACTERS
        and email.isprintable()
        and _LOCAL.fullmatch(local) is not None
        and _DOMAIN.fullmatch(domain) is not None
    )
    if not valid:
        raise ValueError("Not an email address")
    return email
