"""The rules of accounts, passwords and sessions, without I/O."""
