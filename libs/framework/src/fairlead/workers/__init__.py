"""Supervisor, worker processes and what lies between them."""
