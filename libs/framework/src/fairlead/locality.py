"""What this process keeps for itself, though an application may mean it for all of its workers.

A store in memory notes here that it is there; the second worker of a service reads it, and warns. So nothing is asked of a
service with one worker, and nothing of a request.
"""

from __future__ import annotations

_remedies: dict[str, str] = {}


def note_local(what: str, shared: str) -> None:
    """`what` is kept in this process's memory; `shared` is what would keep it for all processes."""
    _remedies[what] = shared


def local_state() -> dict[str, str]:
    """What is kept in this process's memory, with the remedy for each."""
    return dict(sorted(_remedies.items()))
