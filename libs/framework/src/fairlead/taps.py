"""Functions that the server calls for those who watch connections: a type that server and dispatcher share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fairlead.request import ConnectionInfo


@dataclass(frozen=True, slots=True)
class Taps:
    """Functions that must not block or raise; None where nobody wants to know."""

    begin: Callable[[ConnectionInfo], object] | None = None
    complete: Callable[[ConnectionInfo], object] | None = None
    send: Callable[[bytes], object] | None = None
