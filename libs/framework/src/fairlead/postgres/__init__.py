"""PostgreSQL: `attach` gives an app a `Database`; `fairlead.postgres.migrations` brings the schema up to date."""

from fairlead.postgres.connection import Connection
from fairlead.postgres.database import Database, attach

__all__ = ["Connection", "Database", "attach"]
