"""Accounts, their sessions with refresh tokens, and the attempts that the throttle counts."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE accounts (
            id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            email          text NOT NULL CONSTRAINT accounts_email_unique UNIQUE,
            password_hash  text NOT NULL,
            scopes         text[] NOT NULL,
            version        integer NOT NULL DEFAULT 1,
            created_at     timestamptz NOT NULL DEFAULT now(),
            claimed_at     timestamptz,
            deactivated_at timestamptz
        )
        """
    )
    op.execute(
        """
        CREATE TABLE sessions (
            id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            revoked_at timestamptz
        )
        """
    )
    op.execute("CREATE INDEX sessions_account ON sessions (account_id)")
    op.execute("CREATE INDEX sessions_expiry ON sessions (expires_at)")
    op.execute(
        """
        CREATE TABLE refresh_tokens (
            token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
            session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
            expires_at timestamptz NOT NULL,
            used_at    timestamptz
        )
        """
    )
    op.execute("CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id)")
    op.execute(
        """
        CREATE UNLOGGED TABLE attempts (
            key         bytea NOT NULL,
            reservation uuid NOT NULL,
            at          timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX attempts_key ON attempts (key, at)")
    op.execute("CREATE INDEX attempts_reservation ON attempts (reservation)")
    op.execute("CREATE INDEX attempts_at ON attempts (at)")


def downgrade() -> None:
    for table in ("attempts", "refresh_tokens", "sessions", "accounts"):
        op.execute(f"DROP TABLE {table}")
