"""The transactional outbox: an event is published if, and only if, the change that it tells of was committed.

How this works. A handler that changes something calls `write` inside the same transaction: the event is a row of the
table ``outbox`` and shares the fate of the change. `attach` gives each worker a `Relay`; one of all the relays of a
service leads, moves the rows into Redis streams and deletes each row after Redis has taken it.

    handler ── BEGIN, UPDATE products …, INSERT INTO outbox …, NOTIFY, COMMIT
    relay   ── woken by NOTIFY → SELECT oldest rows → MULTI, XADD …, EXEC → DELETE those rows

What consumers get:

- *Nothing is lost*, whoever dies when: a row is deleted only after Redis has answered.
- *At least once.* A relay that dies between XADD and DELETE leaves rows that the next one publishes again. The entry
  is a new one, its field ``id`` is the same: remember ids to drop repeats.
- *Order.* Events of changes that waited for each other, as those of one product do, arrive in the order in which the
  changes were made, provided that the change comes before `write` in its transaction. Between unrelated changes there
  is no order.

An entry has the fields ``event``, ``id``, ``traceparent`` (may be empty) and one field with JSON for each member of
the payload.

NOTIFY has a price: PostgreSQL lets transactions that notify commit one after the other. That is far away for the changes
of a REST service, and no place for a thousand events a second and more.

Rejected: publishing after the commit (lost when the process dies in between), publishing before it (an event of
something that never happened), logical decoding (a replication slot that nobody reads fills the disk of the primary),
deleting a row before Redis has it.
"""

from __future__ import annotations

from fairlead.outbox.entry import write
from fairlead.outbox.relay import Relay, attach

__all__ = ["Relay", "attach", "write"]
