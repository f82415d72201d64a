"""What goes wrong on a developer's machine."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["LocalError"]


class LocalError(Exception):
    """The local stack can't start or go on. Each problem is one line that says what to do; exit status 1."""

    exit_status: ClassVar[int] = 1

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))
