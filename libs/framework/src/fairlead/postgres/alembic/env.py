"""The Alembic environment of every Fairlead service; Alembic runs this file, `fairlead.postgres.migrations` calls
Alembic.

A service needs nothing but revisions in ``<package>/migrations/versions``: the connection, the version table and the
rule "one transaction per revision" come from here.
"""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    version_table=attributes["version_table"],
    transaction_per_migration=True,
    on_version_apply=attributes["on_version_apply"],
)
with context.begin_transaction():
    context.run_migrations()
