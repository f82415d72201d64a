"""The SQL of the outbox table, for a service's migrations.

A revision runs `CREATE` in its upgrade and `DROP` in its downgrade. Both are history once a service has used them and
are never edited; a later change of the table gets a constant of its own.

``sequence`` gives the order inside a stream, not a position to read from: sequence numbers are drawn before the
commit, so a smaller number may become visible later than a larger one. ``payload`` is ``json`` and not ``jsonb``
because ``json`` keeps the text as it was written, and consumers get exactly that text. The table's rows live for
milliseconds: autovacuum has to come by their number, since the share of dead rows, its usual measure, says nothing in
a table that is mostly empty.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CREATE", "DROP"]

CREATE: Final = """
CREATE TABLE outbox (
    sequence    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid NOT NULL,
    stream      text NOT NULL,
    event       text NOT NULL,
    payload     json NOT NULL CHECK (json_typeof(payload) = 'object'),
    traceparent text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)
"""

DROP: Final = "DROP TABLE outbox"
