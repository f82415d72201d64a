"""One event in the outbox: how it gets into the table, and what it looks like in the stream."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fairlead.telemetry.tracing import current_traceparent

if TYPE_CHECKING:
    from fairlead.postgres import Connection

__all__ = ["CHANNEL", "Entry", "write"]

CHANNEL: Final = "fairlead_outbox"
"""The NOTIFY channel of new rows. PostgreSQL delivers it at the commit and drops it with a rollback."""

RESERVED: Final = frozenset({"event", "id", "traceparent"})
"""Fields that every entry has, so that no member of a payload may be called like them."""

INSERT: Final = f"""
WITH entry AS (
    INSERT INTO outbox (id, stream, event, payload, traceparent) VALUES ($1, $2, $3, $4::text::json, $5)
)
SELECT pg_notify('{CHANNEL}', '')
"""
"""One round trip for both: PostgreSQL runs a changing WITH whether or not its rows are read."""


async def write(connection: Connection, stream: str, event: str, payload: Mapping[str, Any]) -> uuid.UUID:
    """Add an event to the outbox, inside the caller's transaction; returns the id that consumers know it by.

    Call it after the change that it tells of: the row locks of the change then put the events of one thing in order.
    Each member of `payload` becomes a field of the entry in `stream`, encoded as JSON by msgspec; the relay passes the
    text on as it is. The trace context of the request that is being handled goes along.

    Raises RuntimeError outside a transaction (the event would not share the change's fate) and ValueError for a payload
    with a member called ``event``, ``id`` or ``traceparent``.
    """
    if not connection.is_in_transaction():
        raise RuntimeError("outbox.write needs the transaction that makes the change")
    if reserved := RESERVED & payload.keys():
        raise ValueError(f"the payload has members with reserved names: {', '.join(sorted(reserved))}")
    event_id = uuid.uuid4()
    text = msgspec.json.encode(dict(payload)).decode()
    await connection.execute(INSERT, event_id, stream, event, text, current_traceparent())
    return event_id


class Entry(msgspec.Struct, frozen=True):
    """A row of the outbox, on its way to the stream."""

    sequence: int
    id: uuid.UUID
    stream: str
    event: str
    payload: str
    traceparent: str

    def fields(self) -> dict[Any, Any]:
        """The fields of the stream entry; each member of the payload as the JSON text that `write` made of it."""
        members = msgspec.json.decode(self.payload, type=dict[str, msgspec.Raw])
        return {
            "event": self.event,
            "id": str(self.id),
            "traceparent": self.traceparent,
            **{name: bytes(text) for name, text in members.items()},
        }
