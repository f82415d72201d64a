"""Processes: the supervisor, its workers, and what lies between them.

- `fairlead.workers.serve` runs a service and returns its exit status;
- `supervisor`, `fleet`, `slot`, `process`: the supervisor's side, from the whole to one process;
- `worker`, `service`, `lifeline`, `black_box`: the worker's side;
- `channel`, `messages`: what they say to each other;
- `single`: both sides in one process;
- `cgroup`, `listener`, `signals`, `reaper`, `deaths`, `plan`, `target`: the pieces.

Importing the package imports none of them: a worker's start is not to wait for the supervisor's code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.app import App

__all__ = ["serve"]


def serve(target: str | App[Any, Any], **options: Any) -> int:
    """Serve `MODULE:NAME` (supervisor and workers) or an `App` (this process) until asked to stop.

    Returns the exit status; see `fairlead.workers.serving.serve` for the options.
    """
    from fairlead.workers.serving import serve as run

    return run(target, **options)
