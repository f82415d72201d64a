"""The answers that are kept for requests with an Idempotency-Key."""

from alembic import op

from fairlead.idempotency import schema

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(schema.CREATE)
    op.execute(schema.CREATE_INDEX)


def downgrade() -> None:
    op.execute(schema.DROP)
