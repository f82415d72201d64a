"""What went wrong at a start, for whoever has to mend it: one line, and as little traceback as explains it."""

from __future__ import annotations

import traceback
from pathlib import Path

import fairlead
from fairlead.errors import ConfigurationError
from fairlead.workers.messages import Changed, WorkerState

__all__ = ["describe_failure", "one_line", "short_traceback"]

_OWN_CODE = str(Path(fairlead.__file__).parent)
_MACHINERY = ("<frozen importlib", "<frozen runpy>")


def describe_failure(error: BaseException, target: str) -> Changed:
    """The last message of a worker that can't start. A configuration error needs no traceback and has a status of 2."""
    if isinstance(error, ConfigurationError):
        return Changed(WorkerState.FAILED, cause=one_line(error), exit_status=ConfigurationError.exit_status)
    cause = f"{target} cannot start: {type(error).__name__}: {one_line(error)}".removesuffix(": ")
    return Changed(WorkerState.FAILED, cause=cause, detail=short_traceback(error), exit_status=1)


def one_line(error: BaseException) -> str:
    """The text of an error without line breaks."""
    return " ".join(str(error).split())


def short_traceback(error: BaseException) -> str:
    """The traceback without our own frames and the import system's, as far as something is left."""
    shown = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in shown.stack if not _is_machinery(frame.filename)]
    if frames or isinstance(error, SyntaxError):  # which names the line by itself
        shown.stack = traceback.StackSummary.from_list(frames)
    return "".join(shown.format()).rstrip()


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_OWN_CODE, *_MACHINERY)) or Path(filename).parent.name == "importlib"
