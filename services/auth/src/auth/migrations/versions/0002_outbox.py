"""The outbox that tells the other services of sessions that have ended."""

from alembic import op

from fairlead.outbox import schema

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(schema.CREATE)


def downgrade() -> None:
    op.execute(schema.DROP)
