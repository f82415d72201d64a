"""The stack on a developer's machine: embedded servers, and all services beside each other (`fairlead up`)."""

from fairlead.local.failure import LocalError
from fairlead.local.postgresql import PostgreSQL
from fairlead.local.valkey import Valkey

__all__ = ["LocalError", "PostgreSQL", "Valkey"]
