"""Against guessing: who may try a password once more (SEC-P05).

Failures of the last minute are counted three ways: by the client's network, by account, and by both together (the
pair).

- A network with `limit` failures waits, whatever the accounts: that stops one machine that tries many.
- An account with `limit` failures is *under attack*. A network that has failed on it already waits. Any other one has a
  single try: the owner, who knows the password, gets in; a guess is answered like being told to wait. So a botnet has
  one guess a minute for each of its networks, and nobody can lock an owner out by failing in his name.

An attempt is counted before the password is checked and taken back when it was right, so parallel guesses don't slip
through, and signing in to an account of one's own in between clears nothing.

Rejected: locking the account (a weapon against its owner), growing delays while the connection is open (they cost the
server more than the attacker), captchas (not for an API).
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["WINDOW_S", "Count", "Keys", "Verdict", "judge", "network_of", "registration_key"]

WINDOW_S: Final = 60
IPV6_PREFIX: Final = 64
"""An IPv6 client has a whole /64 for itself: counting addresses would count nothing."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many attempts a key has in the window, and when the oldest of them leaves it."""

    attempts: int = 0
    oldest_leaves_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Keys:
    """What a sign-in is counted by. Hashes: who mistypes leaves no address, or password, in the database."""

    network: bytes
    account: bytes
    pair: bytes

    @classmethod
    def of(cls, client_ip: str, email: str) -> Keys:
        network = network_of(client_ip)
        return cls(_key("network", network), _key("account", email), _key("pair", network, email))

    def all(self) -> tuple[bytes, bytes, bytes]:
        return self.network, self.account, self.pair


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the password be checked? `under_attack`: a wrong one is then to be answered like a refusal."""

    allowed: bool
    under_attack: bool
    retry_after_s: int


def judge(counts: Mapping[bytes, Count], keys: Keys, limit: int) -> Verdict:
    """Decide by the counts of the last minute; keys that are missing were not counted."""
    network, account, pair = (counts.get(key, Count()) for key in keys.all())
    under_attack = account.attempts >= limit
    retry_after_s = max(
        network.oldest_leaves_in_s if network.attempts >= limit else 0.0,
        account.oldest_leaves_in_s if under_attack else 0.0,
    )
    allowed = network.attempts < limit and not (under_attack and pair.attempts > 0)
    return Verdict(allowed, under_attack, max(1, math.ceil(retry_after_s)))


def network_of(client_ip: str) -> str:
    """The client's address, or its /64 for IPv6; IPv4 written as IPv6 is IPv4."""
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
        address = address.ipv4_mapped
    return str(address)


def registration_key(client_ip: str) -> bytes:
    """What registrations are counted by."""
    return _key("registration", network_of(client_ip))


def _key(kind: str, *parts: str) -> bytes:
    return hashlib.sha256("\0".join((kind, *parts)).encode()).digest()[:16]
