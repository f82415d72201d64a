"""Products, and the outbox that publishes their changes."""

from alembic import op

from fairlead.outbox import schema

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE products (
            id             uuid PRIMARY KEY,
            sku            text NOT NULL CONSTRAINT products_sku_unique UNIQUE,
            name           text NOT NULL,
            price_amount   bigint NOT NULL CHECK (price_amount >= 0),
            price_currency text NOT NULL CHECK (price_currency ~ '^[A-Z]{3}$'),
            stock          integer NOT NULL CHECK (stock >= 0),
            version        integer NOT NULL DEFAULT 1,
            created_at     timestamptz NOT NULL DEFAULT now(),
            updated_at     timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute(schema.CREATE)


def downgrade() -> None:
    op.execute(schema.DROP)
    op.execute("DROP TABLE products")
