"""The rooms: what is said in them, and by whom it seems to be said.

A room is a group of `fairlead.channels` that is named ``room:<name>``. A message in it is ``{"from": "<alias>", "text": "…"}``.
The alias stands for the account: always the same for one, and no way back to it, since everybody may read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from fairlead.channels import Channels, Group
from fairlead.errors import NotFound, UnprocessableContent
from feed.domain.allowance import UserAllowance

__all__ = ["MAX_TEXT_CHARACTERS", "Rooms", "alias_of"]

MAX_TEXT_CHARACTERS: Final = 500

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
"""What can be said at once."""

MessageId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""Chosen by the client, so that what it repeats after a lost connection is said once."""


def alias_of(subject: str) -> str:
    """The name under which an account speaks: eight hexadecimal digits."""
    return hashlib.sha256(f"feed alias {subject}".encode()).hexdigest()[:8]


class Rooms:
    """The rooms of the service, by name."""

    def __init__(self, channels: Channels, names: Sequence[str], allowance: UserAllowance) -> None:
        self.names = tuple(names)
        self.live = channels.live
        """Set while what is said is heard at once."""
        self._channels = channels
        self._allowance = allowance

    def group(self, name: str) -> Group:
        """The members of a room. Raises `NotFound` (404)."""
        if name not in self.names:
            raise NotFound("There is no such room")
        return self._channels.group(f"room:{name}")

    async def say(self, name: str, subject: str, text: str, message_id: str | None = None) -> str:
        """Say something in a room in the name of an account; returns the message's id.

        Raises `NotFound` (404), `UnprocessableContent` (422) for nothing but space, `TooManyRequests` (429),
        `ServiceUnavailable` (503).
        """
        group, alias = self.group(name), alias_of(subject)
        if not text.strip():
            raise UnprocessableContent("There is nothing in it")
        await self._allowance.take(subject, len(text.encode()))
        own_id = None if message_id is None else f"{alias}:{message_id}"
        return await group.broadcast({"from": alias, "text": text}, message_id=own_id)

    async def list(self) -> list[dict[str, Any]]:
        """Each room's name and how many are in it. Raises `ServiceUnavailable` (503)."""
        return [{"name": name, "members": await self.group(name).count()} for name in self.names]
