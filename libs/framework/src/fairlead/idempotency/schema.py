"""The SQL of the table of answers, for a service's migrations.

A revision runs `CREATE` and `CREATE_INDEX` in its upgrade and `DROP` in its downgrade. They are history once a service has used
them and are never edited; a later change of the table gets a constant of its own.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CREATE", "CREATE_INDEX", "DROP"]

CREATE: Final = """
CREATE TABLE idempotency_keys (
    key        text PRIMARY KEY,
    answer     bytea NOT NULL,
    expires_at timestamptz NOT NULL
)
"""

CREATE_INDEX: Final = "CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at)"
"""For the rows that are over."""

DROP: Final = "DROP TABLE idempotency_keys"
